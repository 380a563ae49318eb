"""Says who asks in Envoy's log, marks each request and response, and refuses the users that the configuration blocks."""

import json

import proxy_wasm
from proxy_wasm import Action


class Request(proxy_wasm.HttpContext):
    """One request and its response."""

    root: "Plugin"

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action:
        """Called with the request's headers, before anything goes to the server."""
        user = (self.request_headers.get("x-user") or b"nobody").decode()
        if user in self.root.blocked:
            print("refused:", user)
            return self.send_response(403, {"content-type": "text/plain"}, "not you\n")
        print("hello,", user)
        self.request_headers["x-seen-by"] = "NEW-NAME"
        return Action.CONTINUE

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Called with the response's headers, on their way to the client."""
        self.response_headers["x-filtered-by"] = "NEW-NAME"


class Plugin(proxy_wasm.RootContext):
    """The plugin: one object for each VM."""

    http_context = Request

    def on_configure(self, configuration: bytes) -> bool:
        """Called with the plugin's configuration."""
        self.blocked = set(json.loads(configuration or b"{}").get("blocked", []))
        return True


proxy_wasm.register(Plugin)
