"""What Envoy offers, by the SDK's typed names, a root id each: attributes, metrics, foreign functions, what is shared."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import proxy_wasm
from proxy_wasm import Action, HttpAnswer, HttpContext, RootContext, StreamContext, attributes, envoy, http
from proxy_wasm.configuration import ConfigurationError
from proxy_wasm.configuration import read as read_configuration
from proxy_wasm.metrics import Counter, Gauge, Histogram
from proxy_wasm.shared import Queue, SharedDict

GROUPS = ("source", "destination", "connection", "request", "response", "upstream", "xds", "plugin")


def read(callback: str) -> None:
    """Logs each attribute's type and value, or its exception."""
    for group in GROUPS:
        found = getattr(attributes, group)
        for name in vars(type(found)):
            if name[:1] != "_":
                try:
                    value = getattr(found, name)
                except Exception as error:
                    value = error
                told = value.hex() if isinstance(value, bytes) else value
                proxy_wasm.info(f"# {json.dumps([callback, group, name, type(value).__name__, told], default=repr)}")


class Request(HttpContext):
    """Reads in each phase of a request."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """The request is known."""
        read("on_request_headers")

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        """The upstream connection is known."""
        read("on_response_headers")

    def on_log(self) -> None:
        """All is known."""
        read("on_log")


class Connection(StreamContext):
    """Reads in each phase of a connection."""

    def on_new_connection(self) -> None:
        """The client is known."""
        read("on_new_connection")

    def on_upstream_data(self, size: int, end_of_stream: bool) -> None:
        """The upstream connection is known."""
        if size:
            read("on_upstream_data")


class Attributes(RootContext):
    """Both kinds."""

    http_context = Request
    stream_context = Connection


REQUESTS = Counter("requests", "method", "path")
OPEN = Gauge("open")
SIZES = Histogram("sizes", "side")


def tried(call: Callable[[], object]) -> str:
    """Returns what a call gives, or raises."""
    try:
        return repr(call())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


class Helped(HttpContext):
    """Uses metrics and foreign functions with each request."""

    root: Helping

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Says what each gives."""
        headers, root = self.request_headers, self.root
        REQUESTS.increment(method=headers[":method"], path="/a.b;c")
        OPEN.add(5)
        OPEN.set(OPEN.value() + 2)
        SIZES.record(100, side="request")
        proxy_wasm.info(f"# counted {REQUESTS.value(method=headers[':method'], path='/a.b;c')} {OPEN.value()}")
        text = b"text" * 100
        rows = {
            "true": lambda: (root.is_get.is_true(), root.port.number() == attributes.destination.port),
            "no bool": root.port.is_true,
            "no number": root.is_get.number,
            "deleted": root.deleted.evaluate,
            "not there": root.absent.is_true,
            "compressed": lambda: envoy.uncompress(envoy.compress(text)) == text,
            "not zlib": lambda: envoy.uncompress(b"text"),
            "signed": lambda: envoy.verify_signature(text, envoy.sign(text, root.key), root.key_of_others),
            "no key": lambda: envoy.sign(text, "-----BEGIN"),
            "no public key": lambda: envoy.verify_signature(text, b"signature", "-----BEGIN"),
            "wrong": lambda: envoy.verify_signature(text, b"signature", root.key_of_others),
            "no object": lambda: envoy.set_filter_state("mine", "value"),
            "object": lambda: envoy.set_filter_state("envoy.string", "value", envoy.LifeSpan.REQUEST),
            "no function": lambda: envoy.call("nothing"),
            "declared": lambda: proxy_wasm.set_property("declared", "5"),
            "as text": lambda: proxy_wasm.get_property("declared"),
            "routes": self.choose_route,
        }
        for name, call in rows.items():
            proxy_wasm.info(f"# {name}: {tried(call)}")

    def choose_route(self) -> None:
        """Makes Envoy choose the other route."""
        self.request_headers["x-route"] = "other"
        envoy.clear_route_cache()


class Routed(StreamContext):
    """Chooses a cluster."""

    def on_new_connection(self) -> None:
        """The other one than `tcp_proxy` has."""
        envoy.route_to("tls")


class Asking(HttpContext):
    """Asks a server, and then a cluster that there is no server of."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action:
        """Asks."""
        http.call("upstream", {":method": "GET", ":path": b"/one", ":authority": "upstream"}, self.first)
        return Action.PAUSE

    def first(self, answer: HttpAnswer) -> None:
        """Asks once more."""
        self.request_headers["x-first"] = b"%d %b" % (answer.status, answer.body)
        http.call("nowhere", {":method": "GET", ":path": "/", ":authority": "nowhere"}, self.second)

    def second(self, answer: HttpAnswer) -> None:
        """Lets the request go on."""
        self.request_headers["x-second"] = f"{answer.failed} {answer.status}"
        self.continue_request()


@dataclass
class Keys:
    """The plugin's configuration: a private key and its public one, in PEM."""

    private: str
    public: str


class Helping(RootContext):
    """Makes expressions and properties once."""

    http_context = Helped
    stream_context = Routed

    def on_configure(self, configuration: bytes) -> bool:
        """Takes the keys."""
        try:
            keys = read_configuration(Keys, configuration)
        except ConfigurationError as error:
            proxy_wasm.error(f"refused: {error}")
            return False
        self.key, self.key_of_others = keys.private, keys.public
        self.share()
        self.is_get = envoy.Expression("request.method == 'GET'")
        self.port = envoy.Expression("destination.port")
        self.absent = envoy.Expression("request.headers['nothing'] == 'a'")
        with envoy.Expression("1 + 1") as self.deleted:
            proxy_wasm.info(f"# sum {self.deleted.number()}")
        proxy_wasm.info(f"# no expression: {tried(lambda: envoy.Expression('1 +'))}")
        envoy.declare_property("declared", envoy.PropertyType.STRING, span=envoy.LifeSpan.REQUEST)
        proxy_wasm.info(f"# twice: {tried(lambda: envoy.declare_property('declared'))}")
        return True

    def share(self) -> None:
        """Writes a value while another one is written, and puts two entries into a queue."""
        shared, seen = SharedDict(f"{self.context_id}."), []

        def change(value: bytes | None) -> bytes:
            seen.append(value)
            if len(seen) == 1:
                shared["key"] = "another's"
            return (value or b"") + b" and mine"

        proxy_wasm.info(f"# shared {shared.update('key', change)!r} {seen} {shared.add('n', 5)} {shared.add('n', -7)}")
        self.queue = Queue(f"entries of {self.context_id}")
        for entry in ("a", "b"):
            self.queue.put(entry)

    def on_queue_ready(self, queue: int) -> None:
        """Takes the entries."""
        if self.queue == queue:
            for entry in self.queue:
                proxy_wasm.info(f"# taken {entry!r}")


proxy_wasm.register(Attributes, "attributes")
proxy_wasm.register(Helping, "helping")
proxy_wasm.register(type("AskingRoot", (RootContext,), {"http_context": Asking}), "asking")
proxy_wasm.register(RootContext)  # the default training is of connections without a root id
