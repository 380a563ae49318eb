"""Turns clients away whose version is too old: `{"minimum": "2.1"}` is a configuration."""

import json

from packaging.version import InvalidVersion, Version

import proxy_wasm


class Request(proxy_wasm.HttpContext):
    root: "Plugin"

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> proxy_wasm.Action | None:
        said = (self.request_headers.get("x-client-version") or b"0").decode("latin-1")
        try:
            new_enough = Version(said) >= self.root.minimum
        except InvalidVersion:
            new_enough = False
        return None if new_enough else self.send_response(426, body=f"version {self.root.minimum} or newer, please\n")


class Plugin(proxy_wasm.RootContext):
    http_context = Request

    def on_configure(self, configuration: bytes) -> bool:
        self.minimum = Version(json.loads(configuration or b"{}").get("minimum", "0"))
        return True


proxy_wasm.register(Plugin)
