"""Reads what another filter, here a Lua filter, wrote into the request's dynamic metadata."""

import proxy_wasm
from proxy_wasm import Action, HttpContext

METADATA = proxy_wasm.property_path(
    "metadata", "filter_metadata", "envoy.filters.http.lua", "uppercased-custom-metadata"
)


class Request(HttpContext):
    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        metadata = proxy_wasm.get_property(METADATA)
        if metadata is None:
            return None
        text = metadata.decode()
        headers = {"powered-by": "proxy-wasm", "uppercased-metadata": text}
        return self.send_response(200, headers, f"Custom response with Envoy metadata: {text}\n")


class Plugin(proxy_wasm.RootContext):
    http_context = Request


proxy_wasm.register(Plugin)
