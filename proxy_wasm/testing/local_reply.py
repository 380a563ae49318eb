"""What Envoy makes of a local response: a client of gRPC gets it as gRPC, with status 200 and no body."""

from __future__ import annotations

from urllib.parse import quote_from_bytes

from proxy_wasm.testing.records import LocalResponse, Pairs

_GRPC = b"application/grpc"
_UNKNOWN = 2
_OF_HTTP = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
"""The gRPC status of an HTTP status, as gRPC's specification has it."""
_UNCHANGED = bytes(set(range(0x20, 0x7F)) - set(b"%")).decode()
"""What a grpc-message has as it is."""


def is_grpc(request: Pairs) -> bool:
    """Tells whether a request is a gRPC call, by its headers."""
    content_type = next((value for name, value in request if name == b"content-type"), b"")
    return content_type == _GRPC or content_type.startswith(_GRPC + b"+")


def sent(response: LocalResponse, grpc: bool) -> tuple[Pairs, bytes]:
    """Returns the headers and the body of a local response to a request that is a gRPC call, or none."""
    body = response.body
    if not grpc:
        headers = [pair for pair in response.headers if body or pair[0] != b"content-type"]
        if body:
            headers.append((b"content-length", b"%d" % len(body)))
            headers += [] if _has(headers, b"content-type") else [(b"content-type", b"text/plain")]
        return [(b":status", b"%d" % response.status), *headers], body
    headers = [pair for pair in response.headers if pair[0] not in (b"content-type", b"content-length")]
    headers.append((b"content-type", _GRPC))
    if not _has(headers, b"grpc-status"):
        status = response.grpc_status if response.grpc_status >= 0 else _OF_HTTP.get(response.status, _UNKNOWN)
        headers.append((b"grpc-status", b"%d" % status))
    if body:
        headers.append((b"grpc-message", quote_from_bytes(body, _UNCHANGED).encode()))
    return [(b":status", b"200"), *headers], b""


def _has(headers: Pairs, name: bytes) -> bool:
    return any(found == name for found, _ in headers)
