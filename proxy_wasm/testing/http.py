"""What a proxy does behind the host calls of HTTP and gRPC, for `Host`."""

# ruff: noqa: D102 -- the ABI says what each host call does

from __future__ import annotations

from abc import ABC, abstractmethod

from proxy_wasm.testing.header_maps import parse_header_map, serialize_header_map
from proxy_wasm.testing.records import (
    HTTP_CALL_RESPONSE_TRAILERS,
    REQUEST_HEADERS,
    REQUEST_TRAILERS,
    RESPONSE_HEADERS,
    RESPONSE_TRAILERS,
    STEP,
    Context,
    EnvoyCrashError,
    GrpcCall,
    HostStatus,
    LocalResponse,
    Pairs,
)

_OF_STREAM = (REQUEST_HEADERS, REQUEST_TRAILERS, RESPONSE_HEADERS, RESPONSE_TRAILERS)
_GRPC_CALL, _GRPC_STREAM = 1, 2  # the low bits of their numbers


class HttpCalls(ABC):
    """The host calls; each speaks for a context, or for its root."""

    def __init__(self) -> None:
        self.clusters: set[bytes] | None = None
        self.empty_clusters: set[bytes] = set()
        self.next_call = 1
        self.grpc_calls: dict[int, GrpcCall] = {}
        self.grpc_status: tuple[int, bytes] = (0, b"")
        self.crash: EnvoyCrashError | None = None

    @property
    @abstractmethod
    def context(self) -> Context:
        """The context that is spoken for."""

    @property
    @abstractmethod
    def root(self) -> Context:
        """Its root."""

    # ---- header maps

    def _header_map(self, header_map: int) -> Pairs | None:
        if header_map > HTTP_CALL_RESPONSE_TRAILERS:
            raise HostStatus("BAD_ARGUMENT")
        return (self.context if header_map in _OF_STREAM else self.root).header_maps.get(header_map)

    def _there(self, header_map: int) -> Pairs:
        pairs = self._header_map(header_map)
        if pairs is None:
            raise HostStatus("BAD_ARGUMENT")
        return pairs

    def _mutable(self, header_map: int) -> Pairs:
        pairs = self._there(header_map)
        if header_map not in _OF_STREAM:
            raise HostStatus("BAD_ARGUMENT")
        return pairs

    def proxy_get_header_map_pairs(self, map: int) -> bytes:
        pairs = self._header_map(map)
        return serialize_header_map(pairs) if pairs else b""

    def proxy_get_header_map_value(self, map: int, key: bytes) -> bytes:
        for name, value in self._there(map):
            if name == key.lower():
                return value
        raise HostStatus("NOT_FOUND")

    def proxy_get_header_map_size(self, map: int) -> int:
        return sum(len(name) + len(value) for name, value in self._there(map))

    def proxy_set_header_map_pairs(self, map: int, pairs: bytes) -> None:
        self._mutable(map)[:] = [(name.lower(), value) for name, value in parse_header_map(pairs)]

    def proxy_add_header_map_value(self, map: int, key: bytes, value: bytes) -> None:
        self._mutable(map).append((key.lower(), value))

    def proxy_replace_header_map_value(self, map: int, key: bytes, value: bytes) -> None:
        pairs = self._mutable(map)
        at = next((i for i, (name, _) in enumerate(pairs) if name == key.lower()), len(pairs))
        pairs[at : at + 1] = [(key.lower(), value)]
        pairs[:] = [pair for i, pair in enumerate(pairs) if i <= at or pair[0] != key.lower()]

    def proxy_remove_header_map_value(self, map: int, key: bytes) -> None:
        pairs = self._mutable(map)
        pairs[:] = [pair for pair in pairs if pair[0] != key.lower()]

    # ---- responses

    def proxy_send_local_response(
        self, code: int, details: bytes, body: bytes, headers: bytes, grpc_status: int
    ) -> None:
        context = self.context
        response = LocalResponse(code, details, body, parse_header_map(headers), grpc_status)
        if context.exchange is not None:
            context.exchange.answer(response)
        context.local_responses.append(response)

    # ---- gRPC

    def _grpc(self, kind: int, cluster: bytes, service: bytes, method: bytes, metadata: bytes) -> int:
        if self.clusters is not None and cluster not in self.clusters:
            raise HostStatus("PARSE_FAILURE")
        call = STEP * self.next_call + kind
        self.next_call += 1
        pairs = parse_header_map(metadata)
        self.grpc_calls[call] = GrpcCall(
            self.context.context_id, self.root.context_id, cluster, service, method, pairs, unary=kind == _GRPC_CALL
        )
        return call

    def proxy_grpc_call(
        self, cluster: bytes, service: bytes, method: bytes, metadata: bytes, message: bytes, timeout_milliseconds: int
    ) -> int:
        call = self._grpc(_GRPC_CALL, cluster, service, method, metadata)
        self.grpc_calls[call].messages.append(message)
        return call

    def proxy_grpc_stream(self, cluster: bytes, service: bytes, method: bytes, metadata: bytes) -> int:
        return self._grpc(_GRPC_STREAM, cluster, service, method, metadata)

    def _open_call(self, call: int, streams_only: bool = False) -> GrpcCall:
        found = self.grpc_calls.get(call)
        if found is None or found.ended:
            raise HostStatus("NOT_FOUND")
        if streams_only and found.unary:
            raise HostStatus("BAD_ARGUMENT")
        return found

    def proxy_grpc_send(self, call: int, message: bytes, end_of_stream: int) -> None:
        self._open_call(call, streams_only=True).messages.append(message)

    def proxy_grpc_close(self, call: int) -> None:
        self._open_call(call)

    def proxy_grpc_cancel(self, call: int) -> None:
        found = self._open_call(call)
        found.cancelled = found.ended = True

    def proxy_get_status(self) -> tuple[int, bytes]:
        return self.grpc_status
