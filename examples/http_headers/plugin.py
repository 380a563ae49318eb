"""Logs all headers of requests and responses, changes some, and answers `/hello` itself."""

import json

import proxy_wasm
from proxy_wasm import Action, HttpContext


def log_headers(arrow: str, context_id: int, headers: proxy_wasm.Headers) -> None:
    for name, value in headers.items():
        # Bytes, as a header may be any.
        proxy_wasm.info(b"#%d %b %b: %b" % (context_id, arrow.encode(), name, value))


class Request(HttpContext):
    root: "Plugin"

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        self.request_headers["test"] = "best"
        log_headers("->", self.context_id, self.request_headers)
        if self.request_headers.get(":path") == b"/hello":
            return self.send_response(200, {"hello": "World", "powered-by": "proxy-wasm"}, "Hello, World!\n")
        return None

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        self.response_headers.add(self.root.name, self.root.value)
        log_headers("<-", self.context_id, self.response_headers)

    def on_log(self) -> None:
        print(f"#{self.context_id} completed.")


class Plugin(proxy_wasm.RootContext):
    http_context = Request

    def on_configure(self, configuration: bytes) -> bool:
        header = json.loads(configuration)
        self.name: str = header["header"]
        self.value: str = header["value"]
        return True


proxy_wasm.register(Plugin)
