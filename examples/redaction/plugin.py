"""Blacks out what looks like an e-mail address or a card number in the bodies of responses."""

import re

import proxy_wasm
from proxy_wasm import HttpContext

PRIVATE = re.compile(rb"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\b(?:\d{4}[ -]?){3}\d{4}\b")


def black_out(found: re.Match[bytes]) -> bytes:
    return b"*" * len(found[0])


class Request(HttpContext):
    is_text = False

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        # What is compressed, no expression matches.
        del self.request_headers["accept-encoding"]

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        content_type = self.response_headers.get("content-type") or b""
        self.is_text = content_type.startswith((b"text/", b"application/json"))

    def on_response_complete(self, body: bytes) -> None:
        if self.is_text:
            redacted, count = PRIVATE.subn(black_out, body)
            if count:
                print(f"redacted: {count}")
                self.response_body.replace(redacted)


class Plugin(proxy_wasm.RootContext):
    http_context = Request
    failure_policy = proxy_wasm.FailurePolicy.CLOSE


proxy_wasm.register(Plugin)
