"""Lets a request go on if its body is a JSON object with the keys that the configuration requires."""

import json

import proxy_wasm
from proxy_wasm import Action, HttpContext


class Request(HttpContext):
    root: "Plugin"

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        if self.request_headers.get("content-type") != b"application/json":
            return self.send_response(403, body="content-type must be provided\n")
        return None

    def on_request_complete(self, body: bytes) -> Action | None:
        try:
            payload = json.loads(body)
        except ValueError as error:
            return self.refuse(str(error))
        if not isinstance(payload, dict):
            return self.refuse("it is no object")
        missing = [key for key in self.root.required_keys if key not in payload]
        return self.refuse(f"missing: {', '.join(missing)}") if missing else None

    def refuse(self, reason: str) -> Action:
        return self.send_response(403, body=f"invalid payload: {reason}\n")


class Plugin(proxy_wasm.RootContext):
    http_context = Request
    failure_policy = proxy_wasm.FailurePolicy.CLOSE

    def on_configure(self, configuration: bytes) -> bool:
        self.required_keys: list[str] = json.loads(configuration)["requiredKeys"]
        return True


proxy_wasm.register(Plugin)
