"""gRPC calls and streams: `from proxy_wasm import grpc` at the top of a filter's module, which then has the callbacks for them."""

from proxy_wasm._grpc import OK, Answer, Stream, call, cancel

__all__ = ["OK", "Answer", "Stream", "call", "cancel"]
