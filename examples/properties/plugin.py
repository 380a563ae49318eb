"""Reads from the route's metadata which header a request must have, and refuses the one that has it not."""

import proxy_wasm
from proxy_wasm import Action, HttpContext

AUTH = proxy_wasm.property_path("xds", "route_metadata", "filter_metadata", "envoy.filters.http.wasm", "auth")
UNAUTHENTICATED = 16


class Request(HttpContext):
    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        header = proxy_wasm.get_property(AUTH)
        if header is None:
            print("no auth header for route")
            return None
        print(f"auth header is {header.decode()}")
        if header in self.request_headers:
            return None
        return self.send_response(401, grpc_status=UNAUTHENTICATED)


class Plugin(proxy_wasm.RootContext):
    http_context = Request
    failure_policy = proxy_wasm.FailurePolicy.CLOSE


proxy_wasm.register(Plugin)
