"""What a proxy does behind the host calls of HTTP and gRPC, for `Host`."""

# ruff: noqa: D102 -- the ABI says what each host call does

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy_wasm.testing.abi import STATUS

if TYPE_CHECKING:
    from proxy_wasm.testing.host import Context

Pairs = list[tuple[bytes, bytes]]

REQUEST_HEADERS, REQUEST_TRAILERS, RESPONSE_HEADERS, RESPONSE_TRAILERS = range(4)
GRPC_INITIAL_METADATA, GRPC_TRAILING_METADATA = 4, 5
HTTP_CALL_RESPONSE_HEADERS, HTTP_CALL_RESPONSE_TRAILERS = 6, 7
_OF_STREAM = (REQUEST_HEADERS, REQUEST_TRAILERS, RESPONSE_HEADERS, RESPONSE_TRAILERS)
_GRPC_CALL, _GRPC_STREAM = 1, 2  # the low bits of their numbers
_STEP = 4


class HostStatus(Exception):
    """A host call's answer is this status of the table."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.status = STATUS[name]


class EnvoyCrashError(AssertionError):
    """The filter did what ends Envoy with a segmentation fault."""


@dataclass
class LocalResponse:
    """A response that the filter gave in the upstream server's place; the gRPC status is -1 if there is none."""

    status: int
    details: bytes
    body: bytes
    headers: Pairs
    grpc_status: int


@dataclass
class GrpcCall:
    """A gRPC call or stream as the filter made it, and the messages that it sent."""

    context_id: int
    root_context_id: int
    cluster: bytes
    service: bytes
    method: bytes
    metadata: Pairs
    messages: list[bytes] = field(default_factory=list)
    unary: bool = True
    ended: bool = False
    cancelled: bool = False


# The SDK has functions of its own for this; a host that used them would not notice if both were wrong.


def serialize_header_map(pairs: Pairs) -> bytes:
    """Returns the ABI's bytes of a header map."""
    out = bytearray(len(pairs).to_bytes(4, "little"))
    for pair in pairs:
        for text in pair:
            out += len(text).to_bytes(4, "little")
    for pair in pairs:
        for text in pair:
            out += text + b"\0"
    return bytes(out)


def parse_header_map(data: bytes) -> Pairs:
    """Returns the pairs of a header map, or raises HostStatus."""
    numbers = memoryview(data[: len(data) // 4 * 4]).cast("I")
    count = numbers[0] if numbers else 0
    if len(numbers) < 1 + 2 * count:
        raise HostStatus("BAD_ARGUMENT")
    texts, at = [], 4 + 8 * count
    for size in numbers[1 : 1 + 2 * count]:
        texts.append(data[at : at + size])
        if data[at + size : at + size + 1] != b"\0":
            raise HostStatus("BAD_ARGUMENT")
        at += size + 1
    return list(zip(texts[::2], texts[1::2], strict=True))


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
        call = _STEP * self.next_call + kind
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
