"""HTTP filters, a root id each: headers, whole bodies, bodies in pieces, `await`, gRPC, and a root that has connections too."""

from __future__ import annotations

import proxy_wasm
from proxy_wasm import Action, FailurePolicy, HttpContext, RootContext, StreamContext, gather, grpc

DETAILS = proxy_wasm.property_path("response", "code_details")


class Headers(HttpContext):
    """Looks at headers and changes them, both ways."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Changes a request's."""
        headers = self.request_headers
        seen = [headers["X-User"], headers.get("none"), headers.get_all("x-two"), "x-two" in headers, b"x" in headers]
        seen += [len(headers) == header_count, headers.size > 0]
        proxy_wasm.info(f"# seen {seen}")
        self.user = headers["x-user"]
        headers["x-two"] = b"one"
        headers.add("x-three", "a")
        headers.add("x-three", "b")
        del headers["x-gone"]
        try:
            self.response_headers.get("x")
        except proxy_wasm.BadArgumentError:
            proxy_wasm.info(f"# no response headers {self.response_headers.items()}")

    def on_request_trailers(self, trailer_count: int) -> None:
        """Changes the trailers."""
        self.request_trailers["x-trailer"] = "changed"

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Replaces the response's."""
        proxy_wasm.info(f"# no request headers {self.request_headers.items()}")
        self.response_headers.replace({":status": b"202", "x-for": self.user})


class Whole(HttpContext):
    """Changes whole bodies."""

    def on_request_complete(self, body: bytes) -> None:
        """Puts a longer body in the place."""
        self.request_body.replace(b"<" + body + b">")

    def on_response_complete(self, body: bytes) -> None:
        """Puts text around the body."""
        self.response_body.prepend("[")
        self.response_body.append("]")


class Pieces(HttpContext):
    """Sees a body piece by piece."""

    def on_request_body(self, size: int, end_of_stream: bool) -> None:
        """Says what there is."""
        body = self.request_body
        proxy_wasm.info(f"# piece {size} {body.size} {body.read(0, 3)!r} {body.read(1)[:3]!r} {end_of_stream}")


class Awaiting(HttpContext):
    """Asks before it lets in, and again before it answers."""

    async def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        """Asks two at once."""
        one, two = await gather(self.fetch("upstream", "/one"), self.fetch("upstream", "/two"))
        if b"x-denied" in self.request_headers:
            return self.send_response(403, {"x-denied": "yes"}, one.body)
        self.request_headers["x-answers"] = f"{one.status} {two.status}"
        return None

    async def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Asks once more."""
        if self.response_headers[":status"] == b"200":
            answer = await self.fetch("upstream", "/three")
            self.response_headers["x-answer"] = answer.body


class Calling(HttpContext):
    """Asks a gRPC server."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action:
        """Calls the method that a header names."""
        method = self.request_headers["x-method"]
        grpc.call("grpc", "test.Service", method, b"question", self.answered, {"x-meta": "data"})
        return Action.PAUSE

    def answered(self, answer: grpc.Answer) -> None:
        """Lets in, or answers."""
        proxy_wasm.info(f"# answered {answer.status} {answer.body!r}")
        if answer.failed:
            self.send_response(503, body=answer.message, grpc_status=answer.status)
        else:
            self.request_headers["x-answer"] = answer.body
            self.continue_request()


class Unary(HttpContext):
    """Asks a gRPC server, and waits."""

    async def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        """Calls the method that a header names, and answers for it if it fails."""
        method = self.request_headers["x-method"]
        timeout = 0.2 if method == b"Never" else 5.0
        answer = await grpc.unary("grpc", "test.Service", method, b"question", timeout=timeout)
        proxy_wasm.info(f"# answered {answer.status} {answer.body!r}")
        if answer.failed:
            return self.send_response(503, body=answer.message, grpc_status=answer.status)
        self.request_headers["x-answer"] = answer.body
        return None


class Talk(grpc.Stream):
    """Says what it hears."""

    def on_initial_metadata(self, metadata: list[tuple[bytes, bytes]]) -> None:
        """Says that it came."""
        proxy_wasm.info(f"# initial {(b':status', b'200') in metadata}")

    def on_message(self, message: bytes) -> None:
        """Says it."""
        proxy_wasm.info(f"# message {message!r}")

    def on_trailing_metadata(self, metadata: list[tuple[bytes, bytes]]) -> None:
        """Says the status."""
        proxy_wasm.info(f"# trailing {dict(metadata).get(b'grpc-status')!r}")

    def on_close(self, status: int, message: str) -> None:
        """Says the status."""
        proxy_wasm.info(f"# close {status}")


class Talking(HttpContext):
    """Opens a gRPC stream."""

    talk: Talk

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Talks."""
        self.talk = Talk("grpc", "test.Service", "Fine")
        self.talk.send("hello", end_of_stream=True)

    def on_log(self) -> None:
        """Keeps the context."""


class Raising(HttpContext):
    """Fails."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Fails."""
        raise RuntimeError("on purpose")

    def on_log(self) -> None:
        """Says what the access log has."""
        proxy_wasm.info(f"# details {proxy_wasm.get_property(DETAILS)!r}")


class Request(HttpContext):
    """A request of a root that has connections too."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Says so."""
        proxy_wasm.info("# request")

    def on_log(self) -> None:
        """Says so; of what is no HTTP, nothing else is called."""
        proxy_wasm.info("# request logged")


class Connection(StreamContext):
    """A connection of a root that has requests too."""

    def on_new_connection(self) -> None:
        """Says so."""
        proxy_wasm.info("# connection")


def _root(context: type[HttpContext], **attributes: object) -> type[RootContext]:
    return type(context.__name__ + "Root", (RootContext,), {"http_context": context, **attributes})


ROOTS = {
    "headers": _root(Headers),
    "whole": _root(Whole),
    "pieces": _root(Pieces),
    "awaiting": _root(Awaiting),
    "calling": _root(Calling),
    "talking": _root(Talking),
    "unary": _root(Unary),
    "raising": _root(Raising, failure_policy=FailurePolicy.CLOSE),
    "mixed": _root(Request, stream_context=Connection),
}

for _root_id, _class in ROOTS.items():
    proxy_wasm.register(_class, _root_id)
proxy_wasm.register(_root(Headers))
