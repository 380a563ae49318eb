"""What Envoy offers by its foreign functions, as functions with types: `from proxy_wasm.envoy import route_to`.

A refusal is a HostError that names the function. No other proxy has them: NotFoundError.
"""

from __future__ import annotations

from enum import IntEnum

from proxy_wasm._calls import call_foreign_function
from proxy_wasm._errors import HostError
from proxy_wasm._protobuf import cluster_argument, field, fields, varint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    Text = str | bytes

_KEPT = 256


class LifeSpan(IntEnum):
    """How long an object of the filter state lives."""

    FILTER_CHAIN = 0
    REQUEST = 1
    CONNECTION = 2


class PropertyType(IntEnum):
    """What a declared property holds."""

    BYTES = 0
    STRING = 1
    FLATBUFFERS = 2
    PROTOBUF = 3


def call(function: str, argument: bytes = b"") -> bytes:
    """Calls a foreign function."""
    return call_foreign_function(function, argument)


def _call_about(name: Text, function: str, argument: bytes) -> None:
    try:
        call(function, argument)
    except HostError as error:
        error.about = f"{function}, {name if isinstance(name, str) else name.decode('utf-8', 'replace')}"
        raise


# ---- filter state

_routes: dict[Text, bytes] = {}


def route_to(cluster: Text) -> None:
    """Makes `tcp_proxy` connect this connection to a cluster; to be called before it connects, so in `on_new_connection`."""
    argument = _routes.get(cluster)
    if argument is None:
        if len(_routes) >= _KEPT:
            _routes.clear()
        argument = _routes[cluster] = cluster_argument(cluster)
    call("set_envoy_filter_state", argument)


def set_filter_state(key: Text, value: Text, span: LifeSpan = LifeSpan.FILTER_CHAIN) -> None:
    """Puts an object into the filter state that Envoy makes of the value, by a key that it knows.

    A key that it does not know: NotFoundError. A value that makes no object: BadArgumentError.
    """
    _call_about(key, "set_envoy_filter_state", _filter_state(key, value, span))


def declare_property(
    name: Text,
    kind: PropertyType = PropertyType.BYTES,
    *,
    read_only: bool = False,
    schema: bytes = b"",
    span: LifeSpan = LifeSpan.FILTER_CHAIN,
) -> None:
    """Says what a property is that `set_property` sets: its type, for CEL and the access log, and how long it lives.

    To be called once, in `on_configure`. A name that is declared already: BadArgumentError.
    """
    argument = field(1, name) + _number(2, read_only) + _number(3, kind) + field(4, schema) + _number(5, span)
    _call_about(name, "declare_property", argument)


# ---- HTTP


def clear_route_cache() -> None:
    """Makes Envoy choose the route anew, after the request's headers were changed."""
    call("clear_route_cache")


# ---- CEL


class Expression:
    """A CEL expression over Envoy's attributes, such as `request.path.startsWith('/api') && source.port > 1024`.

    It is made once, in `on_configure`, and kept by the root. An expression that is none: BadArgumentError; Envoy logs why, at level info.
    A value that there is not now: InternalFailureError.
    """

    __slots__ = ("_token", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._token = call("expr_create", text.encode())

    def evaluate(self) -> bytes:
        """Returns the value in the bytes of its type, as attributes have them."""
        return call("expr_evaluate", self._token)

    def is_true(self) -> bool:
        """Returns whether the value is true; TypeError if it is no bool."""
        value = self.evaluate()
        if value not in (b"\0", b"\1"):
            raise TypeError(f"the expression is neither true nor false: {self.text}")
        return value == b"\1"

    def number(self) -> int:
        """Returns the value of an expression that is an integer, a time or a duration (in nanoseconds); TypeError if it is none."""
        value = self.evaluate()
        if len(value) != 8:
            raise TypeError(f"the expression is no number: {self.text}")
        return int.from_bytes(value, "little", signed=True)

    def delete(self) -> None:
        """Gives it back to Envoy, which otherwise keeps it as long as the plugin; then it cannot be evaluated any more."""
        call("expr_delete", self._token)

    def __enter__(self) -> Expression:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.delete()


# ---- signatures


def sign(text: Text, private_key: Text, hash_function: str = "sha256") -> bytes:
    """Returns a signature of a text; the key is PEM or DER.

    What Envoy cannot sign with it, or a key that is none: ValueError, with Envoy's words. Envoy has it from 1.37 on.
    """
    key = (field(4, private_key), b"") if _is_pem(private_key) else (b"", field(2, private_key))
    answer = _read(call("sign", b"".join((field(1, hash_function), key[1], field(3, text), key[0]))))
    if not answer.get(1):
        raise ValueError(f"sign: {_words(answer.get(3))}")
    signature = answer.get(2, b"")
    assert isinstance(signature, bytes)
    return signature


def verify_signature(text: Text, signature: bytes, public_key: Text, hash_function: str = "sha256") -> bool:
    """Tells whether a signature is a text's; the key is PEM or DER, and nothing is signed with one that is none."""
    key = (field(5, public_key), b"") if _is_pem(public_key) else (b"", field(2, public_key))
    parts = (field(1, hash_function), key[1], field(3, signature), field(4, text), key[0])
    return bool(_read(call("verify_signature", b"".join(parts))).get(1))


def _is_pem(key: Text) -> bool:
    return b"-----BEGIN" in (key.encode() if isinstance(key, str) else key)


# ---- compression


def compress(data: bytes) -> bytes:
    """Returns data in zlib's format."""
    return call("compress", data)


def uncompress(data: bytes) -> bytes:
    """Returns what `compress` was given; SerializationFailureError if the data is none of zlib's.

    There is no bound to what it makes of few bytes: give it nothing that a client sent.
    """
    return call("uncompress", data)


# ---- protobuf, as far as these messages need it


def _number(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value) if value else b""


def _filter_state(key: Text, value: Text, span: LifeSpan) -> bytes:
    return field(1, key) + field(2, value) + _number(3, span)


def _read(message: bytes) -> dict[int, int | bytes]:
    """Returns a message's fields by their numbers."""
    return {key >> 3: value for key, value in fields(message)}


def _words(error: int | bytes | None) -> str:
    return error.decode("utf-8", "replace") if isinstance(error, bytes) else "Envoy does not say why"
