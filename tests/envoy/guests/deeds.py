"""An HTTP filter that does what a request's `x-plan` says: `CALLBACK:DEED+DEED:return` or `...:pause`. `local_...` is a callback
with the filter's own response, and `..._answer` one with the answer to a call.

Root id `closed` has the failure policy CLOSE, and any other CONTINUE; `raw` asks nobody whether a deed may be done.
"""

from __future__ import annotations

import proxy_wasm
from proxy_wasm import Action, FailurePolicy, HttpContext, StreamStateError

CALLBACKS = (
    "on_request_headers",
    "on_request_body",
    "on_request_trailers",
    "on_response_headers",
    "on_response_body",
    "on_response_trailers",
    "request_answer",
    "response_answer",
    "local_headers",
    "local_body",
    "local_answer",
    "on_log",
    "on_done",
    "on_delete",
)
DEEDS = ("send_response", "reset", "continue_request", "continue_response", "raise")


def do(context: HttpContext, deed: str, raw: bool) -> str:
    """Does a deed and says what came of it."""
    if deed == "raise":
        raise RuntimeError("on purpose")
    try:
        if raw:
            _do_raw(deed)
        elif deed == "send_response":
            context.send_response(418, {"x-deed": "1"}, "teapot")
        else:
            getattr(context, deed)()
    except StreamStateError:
        return "refused"
    return "done"


def _do_raw(deed: str) -> None:
    import _proxy_wasm  # there since proxy_wasm was imported

    if deed == "send_response":
        _proxy_wasm.proxy_send_local_response(418, "", "teapot", b"", -1)
    elif deed == "reset":
        _proxy_wasm.proxy_close_stream(0)
    else:
        _proxy_wasm.proxy_continue_stream(int(deed == "continue_response"))


class Request(HttpContext):
    """A request with a plan."""

    root: Open

    def __init__(self, context_id: int, root: proxy_wasm.RootContext) -> None:
        super().__init__(context_id, root)
        # What is no request comes to its end only.
        self.plan, self.at, self.end, self.deeds, self.played = "", "", "", [""], False

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        """Reads the plan."""
        self.plan = (self.request_headers.get("x-plan") or b"nowhere::return").decode()
        self.at, deeds, self.end = self.plan.split(":")
        self.deeds = deeds.split("+")
        if self.at.startswith("local_"):
            return self.send_response(203, body="local")
        return self.ask() if self.at == "request_answer" else self.play("on_request_headers")

    def ask(self) -> Action:
        """Makes a call, whose answer is the place of the plan."""
        proxy_wasm.http_call("upstream", {":method": "GET", ":path": "/", ":authority": "authz"})
        return Action.PAUSE

    def play(self, callback: str) -> Action | None:
        """Does what the plan has for this callback, once."""
        if callback != self.at or self.played:
            return None
        self.played = True
        came = []
        try:
            for deed in self.deeds:
                came.append(do(self, deed, self.root.raw))
        finally:
            proxy_wasm.info(f"# {self.plan} = {'+'.join(came)}")
        return Action.PAUSE if self.end == "pause" else None

    def on_request_body(self, size: int, end_of_stream: bool) -> Action | None:
        """Plays."""
        return self.play("on_request_body")

    def on_request_trailers(self, trailer_count: int) -> Action | None:
        """Plays."""
        return self.play("on_request_trailers")

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        """Plays, or asks."""
        if self.at in ("response_answer", "local_answer") and not self.played:
            return self.ask()
        return self.play("local_headers" if self.at == "local_headers" else "on_response_headers")

    def on_response_body(self, size: int, end_of_stream: bool) -> Action | None:
        """Plays."""
        return self.play("local_body" if self.at == "local_body" else "on_response_body")

    def on_response_trailers(self, trailer_count: int) -> Action | None:
        """Plays."""
        return self.play("on_response_trailers")

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        """Plays."""
        self.play(self.at)

    def on_log(self) -> None:
        """Plays."""
        self.play("on_log")

    def on_done(self) -> bool:
        """Plays."""
        self.play("on_done")
        return True

    def on_delete(self) -> None:
        """Plays."""
        self.play("on_delete")


class Open(proxy_wasm.RootContext):
    """What raises lets a request go on."""

    http_context = Request
    raw = False


class Closed(Open):
    """What raises ends it."""

    failure_policy = FailurePolicy.CLOSE


class Raw(Open):
    """Nothing is refused."""

    raw = True


def register() -> None:
    """Registers the roots, again for each test host."""
    proxy_wasm.register(Open)
    proxy_wasm.register(Closed, "closed")
    proxy_wasm.register(Raw, "raw")


register()
