"""A host call's status as an exception: one class for each status of the ABI other than OK."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` is not loaded into the guest for this
if TYPE_CHECKING:
    from typing import NoReturn

in_proxy = False
"""Whether there is a proxy: there is none while the filter is imported, which happens when it is built."""

_UNIMPLEMENTED, _NOT_IMPORTED = 12, 0xFF
_NO_PROXY = "there is no proxy at build time; call it in on_configure or later"
_NOT_NAMED = "no source of the filter names this call, so the build left its import out"
_NO_CLUSTER = "is the cluster in the proxy's configuration?"
_NO_HEADERS = "these headers are there in their own callback"
# Without "proxy_" before it: a module imports the host calls that its sources name.
_OF_HEADERS = """
get_header_map_value get_header_map_size set_header_map_pairs add_header_map_value replace_header_map_value remove_header_map_value
"""
_HINTS = {
    ("http_call", 2): _NO_CLUSTER,
    ("grpc_call", 4): _NO_CLUSTER,
    ("grpc_stream", 4): _NO_CLUSTER,
    ("set_buffer_bytes", 2): "there is no such buffer in this callback, and none for a message without a body",
    ("http_call", 10): "has the cluster a healthy endpoint?",
    **{(call, 2): _NO_HEADERS for call in _OF_HEADERS.split()},
}


class HostError(Exception):
    """A host call was refused; `call` names it, and `status` is the ABI's number.

    `about` is the cluster that an HTTP or gRPC call was to go to. Of a foreign function it is its name, with the key or name that it was
    refused for.
    """

    def __init__(self, call: str, status: int, about: str | bytes | None = None) -> None:
        super().__init__(call, status)
        self.call = call
        self.status = status
        self.about = about

    def __str__(self) -> str:
        about = self.about.decode("utf-8", "replace") if isinstance(self.about, bytes) else self.about
        call = self.call if about is None else f"{self.call} ({about})"
        if self.status == _NOT_IMPORTED:
            return f"{call}: {_NOT_NAMED}"
        if self.status == _UNIMPLEMENTED and not in_proxy:
            return f"{call}: {_NO_PROXY}"
        hint = _HINTS.get((self.call.removeprefix("proxy_"), self.status))
        return f"{call}: status {self.status}{f'; {hint}' if hint else ''}"


class NotFoundError(HostError):
    """There is nothing of that name (and the call has no `None` to say so)."""


class BadArgumentError(HostError):
    """An argument is not one the host accepts."""


class SerializationFailureError(HostError):
    """The host could not encode its answer."""


class ParseFailureError(HostError):
    """The host could not decode an argument."""


class BadExpressionError(HostError):
    """The host could not evaluate an expression."""


class InvalidMemoryAccessError(HostError):
    """An argument lies outside the module's memory."""


class EmptyError(HostError):
    """There is nothing left to take."""


class CasMismatchError(HostError):
    """The shared value was changed since it was read: read it again and retry."""


class ResultMismatchError(HostError):
    """The result is not of the kind asked for."""


class InternalFailureError(HostError):
    """Something in the host itself went wrong."""


class BrokenConnectionError(HostError):
    """The connection is gone."""


class UnimplementedError(HostError):
    """The host does not offer this call, or not at this time."""


ERRORS: dict[int, type[HostError]] = {
    1: NotFoundError,
    2: BadArgumentError,
    3: SerializationFailureError,
    4: ParseFailureError,
    5: BadExpressionError,
    6: InvalidMemoryAccessError,
    7: EmptyError,
    8: CasMismatchError,
    9: ResultMismatchError,
    10: InternalFailureError,
    11: BrokenConnectionError,
    12: UnimplementedError,
}


def raise_for_status(call: str, status: int, about: str | bytes | None = None) -> NoReturn:
    """Raises the exception of a status; a status the ABI does not name raises HostError itself."""
    raise ERRORS.get(status, HostError)(call, status, about)
