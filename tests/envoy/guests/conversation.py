"""A filter that says what is called, and what its own calls give: the source address asks for a scene (scenes.py).

Root ids `open` and `closed` are the two failure policies; the stream class of `silent` leaves its answers to the root.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import proxy_wasm
from proxy_wasm import Action, Buffer, FailurePolicy, HeaderMap, HostError, LogLevel, MetricKind, grpc
from tests.envoy.guests.talking import SOURCE, Actor, Witness

UNKNOWN = 99_999

Request = tuple[str, str, int]
CALLS: dict[str, Request] = {
    "is_let_in": ("authz", "/200", 5000),
    "is_turned_away": ("authz", "/403", 5000),
    "times_out": ("authz", "/hang", 200),
    "is_refused": ("nobody", "/200", 5000),
    "is_cut_off": ("authz", "/cut", 5000),
    "hears_nonsense": ("authz", "/nonsense", 5000),
    "raises": ("authz", "/200", 5000),
    "retries": ("authz", "/503", 5000),
    "has_no_endpoint": ("empty", "/200", 5000),
    "leaves": ("authz", "/slow", 5000),
    "root_answers_for_the_stream": ("authz", "/200", 5000),
    "lets_in_twice": ("authz", "/200", 5000),
}
PAUSED = ("root_asks", "root_raises", "tick_lets_in", "sniffs", "asks_about_first_bytes")


def ask(cluster: str, path: str, timeout: int) -> int:
    """Makes a call."""
    headers = {":method": "GET", ":path": path, ":authority": "authz"}
    return proxy_wasm.http_call(cluster, headers, timeout_milliseconds=timeout)


def result(call: Callable[[], object]) -> str:
    """Returns what a host call gives, or by which name it is refused, and about what."""
    try:
        return repr(call())
    except HostError as error:
        return type(error).__name__ if error.about is None else f"{type(error).__name__} about {error.about!r}"


def look_around() -> list[str]:
    """Asks the proxy for what is not there, and for what is there in a form of its own."""
    gauge = proxy_wasm.define_metric(MetricKind.GAUGE, "conversation.gauge")
    again = proxy_wasm.define_metric(MetricKind.GAUGE, "conversation.gauge")
    counter = proxy_wasm.define_metric(MetricKind.COUNTER, "conversation.gauge")
    histogram = proxy_wasm.define_metric(MetricKind.HISTOGRAM, "conversation.histogram")
    proxy_wasm.record_metric(gauge, 7)
    proxy_wasm.set_property("conversation", b"kept")
    proxy_wasm.set_property(b"conversation\0deep", b"kept")
    proxy_wasm.set_property(SOURCE, b"forged")
    calls: dict[str, Callable[[], object]] = {
        "arguments": lambda: proxy_wasm.get_buffer(Buffer.FOREIGN_FUNCTION_ARGUMENTS),
        "downstream": lambda: proxy_wasm.get_buffer(Buffer.DOWNSTREAM_DATA),
        "downstream status": lambda: proxy_wasm.get_buffer_status(Buffer.DOWNSTREAM_DATA),
        "upstream": lambda: proxy_wasm.get_buffer(Buffer.UPSTREAM_DATA),
        "answer": lambda: proxy_wasm.get_buffer(Buffer.HTTP_CALL_RESPONSE_BODY),
        "answer status": lambda: proxy_wasm.get_buffer_status(Buffer.HTTP_CALL_RESPONSE_BODY),
        "vm configuration": lambda: proxy_wasm.get_buffer(Buffer.VM_CONFIGURATION),
        "plugin configuration": lambda: proxy_wasm.get_buffer(Buffer.PLUGIN_CONFIGURATION),
        "no buffer": lambda: proxy_wasm.get_buffer(9),  # type: ignore[arg-type]
        "set downstream": lambda: proxy_wasm.set_buffer(Buffer.DOWNSTREAM_DATA, 0, 0, b"x"),
        "set answer": lambda: proxy_wasm.set_buffer(Buffer.HTTP_CALL_RESPONSE_BODY, 0, 0, b"x"),
        "header": lambda: proxy_wasm.get_header(HeaderMap.HTTP_CALL_RESPONSE_HEADERS, ":status"),
        "headers": lambda: proxy_wasm.get_header_map(HeaderMap.HTTP_CALL_RESPONSE_HEADERS),
        "no map": lambda: proxy_wasm.get_header_map(8),  # type: ignore[arg-type]
        "answer failed": lambda: proxy_wasm.get_http_answer().failed,
        "continue upstream": proxy_wasm.continue_upstream,
        "done": proxy_wasm.done,
        "nobody": lambda: proxy_wasm.set_effective_context(UNKNOWN),
        "self again": lambda: proxy_wasm.set_effective_context(0),
        "no cluster": lambda: ask("none", "/", 1),
        "no headers": lambda: proxy_wasm.http_call("authz", {}),
        "no cluster to call": lambda: grpc.call("none", "Service", "Method"),
        "no cluster to stream": lambda: grpc.Stream("none", "Service", "Method"),
        "no function": lambda: proxy_wasm.call_foreign_function("none", b""),
        "one gauge": lambda: proxy_wasm.get_metric(again),
        "numbers": lambda: (gauge % 4, again - gauge, counter % 4, histogram % 4),
        "count nothing": lambda: proxy_wasm.increment_metric(counter, 0),
        "count down": lambda: proxy_wasm.increment_metric(counter, -1),
        "gauge down": lambda: proxy_wasm.increment_metric(gauge, -3),
        "gauge": lambda: proxy_wasm.get_metric(gauge),
        "increment histogram": lambda: proxy_wasm.increment_metric(histogram, 1),
        "histogram": lambda: proxy_wasm.get_metric(histogram),
        "no counter": lambda: proxy_wasm.get_metric(4000),
        "no kind": lambda: proxy_wasm.get_metric(4003),
        "record no kind": lambda: proxy_wasm.record_metric(4003, 1),
        "define no kind": lambda: proxy_wasm.define_metric(3, "x"),
        "property": lambda: proxy_wasm.get_property("conversation"),
        "deep property": lambda: proxy_wasm.get_property(b"conversation\0deep"),
        "forged": lambda: proxy_wasm.get_property(SOURCE) == b"forged",
        "no data": lambda: proxy_wasm.get_shared_data("none"),
        "no queue": lambda: proxy_wasm.resolve_shared_queue("", "none"),
        "own queue": lambda: proxy_wasm.register_shared_queue("own") == proxy_wasm.resolve_shared_queue("", "own"),
        "dequeue nothing": lambda: proxy_wasm.dequeue_shared_queue(proxy_wasm.register_shared_queue("own")),
        "dequeue nowhere": lambda: proxy_wasm.dequeue_shared_queue(UNKNOWN),
        "log nowhere": lambda: proxy_wasm.log(9, "x"),
    }
    return [f"{name}: {result(call)}" for name, call in calls.items()]


def count_and_log() -> None:
    """Says and counts what the proxy does not allow: the host calls themselves tell, and a line decides nothing."""
    counter = proxy_wasm.define_metric(MetricKind.COUNTER, "conversation.counted")
    proxy_wasm.info("not decisive")
    print("not decisive")
    print("not decisive", file=sys.stderr)
    logging.error("not decisive")
    told = [
        result(lambda: proxy_wasm.log(LogLevel.INFO, "refused")),
        result(lambda: proxy_wasm.increment_metric(counter, 1)),
        result(lambda: proxy_wasm.record_metric(counter, 1)),
    ]
    if told != ["InternalFailureError"] * 3 or not proxy_wasm.log_enabled(LogLevel.TRACE):
        raise ValueError(told)


class Silent(Actor):
    """A connection that pauses, and asks, as its scene says."""

    root: Open

    def __init__(self, context_id: int, root: proxy_wasm.RootContext) -> None:
        super().__init__(context_id, root)
        self.retries = 1

    def on_new_connection(self) -> Action | None:
        """Asks, if the scene has a call."""
        self.say("new connection")
        if self.scene == "has_no_endpoint":
            self.say("call:", result(lambda: ask(*CALLS[self.scene])))
            return Action.CONTINUE
        if self.scene in CALLS:
            ask(*CALLS[self.scene])
            return Action.PAUSE
        if self.scene in PAUSED[:3]:
            self.root.waiting = self
            proxy_wasm.set_tick_period(50)
        for line in look_around() if self.scene == "looks_around" else ():
            self.say(line)
        if self.scene == "counts_and_logs":
            count_and_log()
        if self.scene == "returns_true":
            return True  # type: ignore[return-value]
        return Action.PAUSE if self.scene in PAUSED else Action.CONTINUE


class Stream(Silent, Witness):
    """A connection that hears its answers, and says what it sees."""

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        """Says what the answer is, and lets the connection in if it is 200."""
        answer = proxy_wasm.get_http_answer()
        sizes = len(answer.headers), len(answer.body), len(answer.trailers)
        self.say("answer", answer.status, "failed" if answer.failed else answer.body, trailer_count)
        if sizes != (header_count, body_size, trailer_count):
            self.say("the answer's sizes are", sizes)
        self.say("trailer:", result(lambda: proxy_wasm.get_header(HeaderMap.HTTP_CALL_RESPONSE_TRAILERS, "x")))
        self.say("set:", result(lambda: proxy_wasm.set_buffer(Buffer.HTTP_CALL_RESPONSE_BODY, 0, 0, b"x")))
        if self.scene == "asks_about_first_bytes":
            self.say("held:", proxy_wasm.get_buffer(Buffer.DOWNSTREAM_DATA))
        if self.scene == "raises":
            raise RuntimeError("on purpose")
        if self.scene == "retries" and self.retries:
            self.retries -= 1
            ask("authz", "/200", 5000)
        elif answer.status == 200:
            proxy_wasm.continue_downstream()
            if self.scene == "lets_in_twice":
                proxy_wasm.continue_downstream()
        else:
            proxy_wasm.close_downstream()

    def on_downstream_data(self, size: int, end_of_stream: bool) -> Action | None:
        """Says what came, and holds it back until there are ten bytes, if the scene says so."""
        self.say("downstream", size, end_of_stream, proxy_wasm.get_buffer(Buffer.DOWNSTREAM_DATA))
        if self.scene == "returns_true_for_data":
            return True  # type: ignore[return-value]
        if self.scene == "asks_about_first_bytes" and not self.asked:
            self.asked = True
            ask("authz", "/200", 5000)
            return Action.PAUSE
        held = self.scene in ("sniffs", "holds_data_back") and size < 10 and not end_of_stream
        return Action.PAUSE if held else None


class Open(proxy_wasm.RootContext):
    """Continues when a callback raises."""

    stream_context: type[Silent] = Stream
    failure_policy = FailurePolicy.CONTINUE
    waiting: Silent | None = None

    def on_tick(self) -> None:
        """Does what the connection that waits asks of the root."""
        stream = self.waiting
        if stream is None:
            return
        proxy_wasm.set_tick_period(0)
        stream.say("tick: property", result(lambda: proxy_wasm.set_property("x", b"x")))
        if stream.scene == "tick_lets_in":
            self.waiting = None
            proxy_wasm.set_effective_context(stream.context_id)
            proxy_wasm.continue_downstream()
        else:
            ask("authz", "/200", 5000)

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        """Lets the connection that waits go on."""
        answer = proxy_wasm.get_http_answer()
        if self.waiting is None:
            # A stream's own, left to the root in the stream's name.
            proxy_wasm.info(f"# root_answers_for_the_stream: root {answer.status} {body_size}")
            proxy_wasm.continue_downstream()
            return
        stream, self.waiting = self.waiting, None
        stream.say("root", answer.status, body_size)
        proxy_wasm.set_effective_context(stream.context_id)
        proxy_wasm.continue_downstream()
        if stream.scene == "root_raises":
            raise RuntimeError("on purpose")


class Closed(Open):
    """Closes the connection when a callback raises."""

    failure_policy = FailurePolicy.CLOSE


class SilentRoot(Open):
    """Hears its streams' answers itself."""

    stream_context = Silent


def register() -> None:
    """Registers a class for each root id."""
    proxy_wasm.register(Open, "open")
    proxy_wasm.register(Closed, "closed")
    proxy_wasm.register(SilentRoot, "silent")


register()
