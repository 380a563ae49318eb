"""HTTP filters, a root id for each path that a request can take; `inside` answers with what the VM holds."""

from __future__ import annotations

import gc

import proxy_wasm
from proxy_wasm import Action, FailurePolicy, HttpContext, RootContext, _dispatch, _fetch, _http

SILENT = {":method": "GET", ":path": "/", ":authority": "silent"}


class Headers(HttpContext):
    """Reads and sets headers, both ways."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Does so."""
        self.request_headers["x-seen"] = b" ".join(name for name, _ in self.request_headers.items())

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Does so."""
        self.response_headers["x-answer"] = b"yes"


class Body(HttpContext):
    """Replaces the body of the response."""

    def on_response_complete(self, body: bytes) -> None:
        """Does so."""
        self.response_body.replace(body[::-1])


class Answers(HttpContext):
    """Answers by itself."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action:
        """Does so."""
        return self.send_response(403, {"x-why": "no"}, "no")


class Raises(HttpContext):
    """Raises, both ways."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Does so."""
        raise RuntimeError("on purpose")

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Does so."""
        raise RuntimeError("on purpose")


class Awaits(HttpContext):
    """Waits for an answer."""

    async def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Does so."""
        self.request_headers["x-answer"] = (await self.fetch("authz")).body


class Late(HttpContext):
    """Waits until the time is over."""

    async def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Does so."""
        await self.fetch("silent", timeout=0.02)


class Gone(HttpContext):
    """Waits for an answer that comes when the request is gone."""

    async def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Does so."""
        await self.fetch("silent", timeout=2.0)


class Forgets(HttpContext):
    """Asks, and does not wait."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Does so."""
        proxy_wasm.http_call("silent", SILENT, timeout_milliseconds=100)

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        """Is never called: the request is over."""


class Inside(HttpContext):
    """Says what there is."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action:
        """Counts contexts, calls that somebody waits for and calls with a caller, and on `/objects` what a collection leaves."""
        objects = 0
        if self.request_headers[":path"] == b"/objects":
            gc.collect()
            objects = len(gc.get_objects())
        counts = objects, len(_dispatch.streams), len(_fetch.waiting), len(_http.callers)
        return self.send_response(200, body=" ".join(map(str, counts)))


def _root(context: type[HttpContext], **attributes: object) -> type[RootContext]:
    return type(context.__name__ + "Root", (RootContext,), {"http_context": context, **attributes})


ROOTS = {
    "headers": _root(Headers),
    "body": _root(Body),
    "answers": _root(Answers),
    "raises": _root(Raises),
    "raises_closed": _root(Raises, failure_policy=FailurePolicy.CLOSE),
    "awaits": _root(Awaits),
    "late": _root(Late),
    "gone": _root(Gone),
    "forgets": _root(Forgets),
    "inside": _root(Inside),
}

for _root_id, _class in ROOTS.items():
    proxy_wasm.register(_class, _root_id)
# What the training runs.
proxy_wasm.register(ROOTS["headers"])
