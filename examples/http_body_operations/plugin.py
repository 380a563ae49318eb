"""Appends to, prepends to or replaces a body, of the request or of the response, as the request's headers say.

The root id `echo` is another plugin: it answers a request with the request's own body.
"""

import proxy_wasm
from proxy_wasm import Action, HttpContext


class Edited(HttpContext):
    operation: bytes | None = None
    in_response = False

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        self.operation = self.request_headers.get("buffer-operation")
        self.in_response = self.request_headers.get("buffer-replace-at") == b"response"
        if end_of_stream:
            return self.send_response(400, body="a body must be provided\n")
        return None

    def on_request_complete(self, body: bytes) -> None:
        if not self.in_response:
            print(f"original request body: {body!r}")
            self.edit()

    def on_response_complete(self, body: bytes) -> None:
        if self.in_response:
            print(f"original response body: {body!r}")
            self.edit()

    def edit(self) -> None:
        body = self.response_body if self.in_response else self.request_body
        if self.operation == b"append":
            body.append("[this is appended body]")
        elif self.operation == b"prepend":
            body.prepend("[this is prepended body]")
        else:
            body.replace("[this is replaced body]")


class Echoed(HttpContext):
    def on_request_complete(self, body: bytes) -> Action:
        return self.send_response(200, body=body)


class Edit(proxy_wasm.RootContext):
    http_context = Edited


class Echo(proxy_wasm.RootContext):
    http_context = Echoed


proxy_wasm.register(Edit)
proxy_wasm.register(Echo, "echo")
