"""What a host keeps of contexts, calls and metrics, and the ABI's numbers for what they are of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from proxy_wasm.testing.abi import STATUS

Pairs = list[tuple[bytes, bytes]]

CONTINUE, PAUSE = range(2)
UNKNOWN, LOCAL, REMOTE = range(3)
COUNTER, GAUGE, HISTOGRAM = range(3)
REQUEST, RESPONSE, DOWNSTREAM, UPSTREAM = range(4)
REQUEST_BODY, RESPONSE_BODY, DOWNSTREAM_DATA, UPSTREAM_DATA, HTTP_CALL_RESPONSE_BODY, GRPC_MESSAGE = range(6)
VM_CONFIGURATION, PLUGIN_CONFIGURATION, FOREIGN_FUNCTION_ARGUMENTS = 6, 7, 8
REQUEST_HEADERS, REQUEST_TRAILERS, RESPONSE_HEADERS, RESPONSE_TRAILERS = range(4)
GRPC_INITIAL_METADATA, GRPC_TRAILING_METADATA = 4, 5
HTTP_CALL_RESPONSE_HEADERS, HTTP_CALL_RESPONSE_TRAILERS = 6, 7
# Envoy's numbers of metrics and calls go in steps of this: the low bits say what it is.
STEP = 4


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


@dataclass
class HttpCall:
    """An HTTP call as the filter made it: in whose name, and the root, which is told of the answer."""

    context_id: int
    root_context_id: int
    cluster: bytes
    headers: Pairs
    body: bytes
    trailers: Pairs
    timeout_milliseconds: int
    answered: bool = False


@dataclass
class Metric:
    """A metric, and for a histogram all its records."""

    kind: int
    name: bytes
    value: int = 0
    records: list[int] = field(default_factory=list)


class Stream(Protocol):
    """A request that runs, as the host calls that steer it see it."""

    def go_on(self, stream: int) -> None:
        """Continues a side that the filter held back."""

    def answer(self, response: LocalResponse) -> None:
        """Sends a local response."""

    def reset(self) -> None:
        """Ends the stream without an answer."""


@dataclass
class Context:
    """The proxy's side of a root, a connection or a request: its properties and buffers, and what the filter did to it."""

    context_id: int
    parent_context_id: int = 0
    properties: dict[bytes, bytes] = field(default_factory=dict)
    buffers: dict[int, bytes] = field(default_factory=dict)
    header_maps: dict[int, Pairs] = field(default_factory=dict)
    filter_state: dict[bytes, bytes] = field(default_factory=dict)
    envoy_filter_state: dict[bytes, bytes] = field(default_factory=dict)
    routes_cleared: int = 0
    continued: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    local_responses: list[LocalResponse] = field(default_factory=list)
    exchange: Stream | None = None
    done: int = 0
