"""gRPC calls and streams: `from proxy_wasm import grpc` at the top of a filter's module, which then has the callbacks for them."""

from proxy_wasm._grpc import OK, Answer, Stream, call, cancel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proxy_wasm._grpc_unary import unary

__all__ = ["OK", "Answer", "Stream", "call", "cancel", "unary"]


def __dir__() -> list[str]:
    return [*globals(), "unary"]


def __getattr__(name: str) -> object:
    # `register` imports it if there are coroutines; an import statement would put it into every filter with gRPC.
    if name != "unary":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import__("proxy_wasm._grpc" + "_unary", fromlist=[name]), name)
