"""Lets gRPC calls go on or refuses them, as a gRPC service answers; who does not speak gRPC is refused at once."""

import proxy_wasm
from proxy_wasm import Action, HttpContext, grpc

ABORTED = 10


class Request(HttpContext):
    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        content_type = self.request_headers.get("content-type") or b""
        if not content_type.startswith(b"application/grpc"):
            text = "Service accessible only to gRPC clients.\n"
            return self.send_response(503, {"powered-by": "proxy-wasm"}, text)
        if self.request_headers[":path"].startswith(b"/grpc.reflection"):
            return None
        grpc.call("grpcbin", "grpcbin.GRPCBin", "RandomError", answered=self.answered, timeout_milliseconds=1000)
        return Action.PAUSE

    def answered(self, answer: grpc.Answer) -> None:
        if answer.status % 2 == 0:
            print("Access granted.")
            self.continue_request()
        else:
            print("Access forbidden.")
            self.send_response(200, {"powered-by": "proxy-wasm"}, "Aborted by Proxy-Wasm!", grpc_status=ABORTED)

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        self.response_headers["powered-by"] = "proxy-wasm"


class Plugin(proxy_wasm.RootContext):
    http_context = Request
    failure_policy = proxy_wasm.FailurePolicy.CLOSE


proxy_wasm.register(Plugin)
