"""What the fixture `vm` says about a real Envoy where a test asks its host or a context. What it does not say is `NotShownError`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from command.envoy_session import ROOT, Session
from command.not_shown import NotShownError
from command.stand_ins import Stream
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.records import COUNTER, GAUGE, HISTOGRAM, STEP, Context, GrpcCall, HttpCall, Metric, Pairs

_GRPC = b"application/grpc"
_CALL, _STREAM = 1, 2  # the low bits of a gRPC number
_OF_ENVOY = (b"x-envoy-", b"x-forwarded-for")


class EnvoyHost(Host):
    """The host of an `EnvoyVm`."""

    def __init__(self, session: Session) -> None:
        vars(self)["_session"] = session

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in _SHOWN:
            raise NotShownError(f"vm.host.{name}")
        session: Session = vars(self)["_session"]
        session.settle()
        return _SHOWN[name](session)

    def __setattr__(self, name: str, value: object) -> None:
        raise NotShownError(f"vm.host.{name}", "a test cannot set that in a real Envoy")


class EnvoyContext(Context):
    """A context of an `EnvoyVm`."""

    def __init__(self, session: Session, context_id: Callable[[], int]) -> None:
        vars(self).update(_session=session, _context_id=context_id)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        session: Session = vars(self)["_session"]
        session.settle()
        number = vars(self)["_context_id"]()
        if name == "context_id":
            return number
        if name in ("closed", "continued"):
            call = "proxy_close_stream" if name == "closed" else "proxy_continue_stream"
            return [made.arguments[0] for made in session.trace.of_context(number, call)]
        raise NotShownError(f"context.{name}")


class _HttpCall(HttpCall):
    """An HTTP call, and where to answer it."""

    stream: Stream


class _GrpcCall(GrpcCall):
    """A gRPC call, and where to answer it."""

    stream: Stream


def _http_calls(session: Session) -> dict[int, HttpCall]:
    """Returns the HTTP calls that came to the stand-ins."""
    asked = list(session.trace.made("proxy_http_call"))
    found: dict[int, HttpCall] = {}
    for cluster, stream in session.calls:
        if _is_grpc(stream):
            continue
        # Which of several calls this one was, Envoy does not say: they come in the order in which they were made.
        made = asked[min(len(found), len(asked) - 1)]
        got = stream.got
        call = _HttpCall(
            made.context_id,
            ROOT,
            cluster.encode(),
            _own(got.headers or []),
            got.body,
            got.trailers or [],
            made.arguments[-2],
            stream.answered,
        )
        call.stream = stream
        found[STEP * (len(found) + 1)] = call
    return found


def _grpc_calls(session: Session) -> dict[int, GrpcCall]:
    """Returns the gRPC calls and streams that came to the stand-ins."""
    names = ("proxy_grpc_call", "proxy_grpc_stream")
    asked = [call for call in session.trace.host_calls if call.name in names and call.status == 0]
    found: dict[int, GrpcCall] = {}
    for cluster, stream in session.calls:
        if not _is_grpc(stream):
            continue
        made = asked[min(len(found), len(asked) - 1)]
        unary = made.name == names[0]
        service, _, method = (stream.got.header(":path") or b"").removeprefix(b"/").partition(b"/")
        call = _GrpcCall(
            made.context_id,
            ROOT,
            cluster.encode(),
            service,
            method,
            _own(stream.got.headers or []),
            _messages(stream.got.body),
            unary,
            stream.got.ended and stream.answered,
            stream.reset,
        )
        call.stream = stream
        found[STEP * (len(found) + 1) + (_CALL if unary else _STREAM)] = call
    return found


def _is_grpc(stream: Stream) -> bool:
    return (stream.got.header("content-type") or b"").startswith(_GRPC)


def _own(headers: Pairs) -> Pairs:
    """Returns headers without those that Envoy gives to each call."""
    return [pair for pair in headers if not pair[0].startswith(_OF_ENVOY)]


def _messages(body: bytes) -> list[bytes]:
    """Returns the messages of a gRPC stream: each has a byte and four of its length before it."""
    found = []
    while body:
        size = int.from_bytes(body[1:5], "big")
        found.append(body[5 : 5 + size])
        body = body[5 + size :]
    return found


def _metrics(session: Session) -> dict[int, Metric]:
    """Returns the counters and gauges that the filter defined, as Envoy's statistics have them."""
    if any(call.arguments[0] == HISTOGRAM for call in session.trace.made("proxy_define_metric")):
        raise NotShownError("vm.host.metrics with a histogram")
    found = []
    for kind, name in ((COUNTER, "Counters"), (GAUGE, "Gauges")):
        for line in session.envoy.get(f"/stats?type={name}&filter=^wasmcustom").splitlines():
            metric, _, value = line.rpartition(": ")
            found.append(Metric(kind, metric.removeprefix("wasmcustom.").encode(), int(value)))
    return {metric.kind + STEP * (number + 1): metric for number, metric in enumerate(found)}


def _tick_periods(session: Session) -> dict[int, int]:
    return {call.context_id: call.arguments[0] for call in session.trace.made("proxy_set_tick_period_milliseconds")}


_SHOWN: dict[str, Callable[[Session], object]] = {
    "logs": lambda session: session.trace.logs,
    "failures": lambda session: session.trace.failures,
    "http_calls": _http_calls,
    "grpc_calls": _grpc_calls,
    "metrics": _metrics,
    "tick_periods": _tick_periods,
}
