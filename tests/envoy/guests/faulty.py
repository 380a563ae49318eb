"""A filter that goes wrong in the way that the source address asks for (faults.py); root ids `open` and `closed`."""

from __future__ import annotations

import os
import types

import proxy_wasm
from proto.set_envoy_filter_state_pb import LifeSpan, SetEnvoyFilterStateArguments
from proxy_wasm import FailurePolicy
from tests.envoy.guests.faults import asked_by

SOURCE = proxy_wasm.property_path("source", "address")
MEGABYTE = 1 << 20

kept: list[bytes] = []


def none() -> None:
    """Does nothing."""


def raises() -> None:
    """Raises an exception."""
    raise RuntimeError("on purpose")


def recurses() -> None:
    """Calls itself until CPython's guard stops it."""
    recurses()


def eats_memory() -> None:
    """Takes all the memory there is, until CPython says that there is none; it is free again with the exception."""
    eaten = []
    while True:
        eaten.append(bytes(MEGABYTE))


def keeps_memory() -> None:
    """Takes all the memory there is and keeps it."""
    while True:
        kept.append(bytes(MEGABYTE))


def forgets() -> None:
    """Gives back what was kept."""
    kept.clear()


def sets_a_bad_value() -> None:
    """Calls a foreign function with what is no message."""
    proxy_wasm.call_foreign_function("set_envoy_filter_state", b"\xff\xff")


def sets_an_unknown_path() -> None:
    """Sets filter state that Envoy does not know."""
    message = SetEnvoyFilterStateArguments(path="no.such.state", value="x", span=LifeSpan.FilterChain)
    proxy_wasm.call_foreign_function("set_envoy_filter_state", message.SerializeToString())


def calls_an_unknown_function() -> None:
    """Calls a foreign function that Envoy does not have."""
    proxy_wasm.call_foreign_function("no_such_function", b"")


def reads_an_absent_property() -> None:
    """Says what a property that does not exist is."""
    proxy_wasm.info(f"absent: {proxy_wasm.get_property(proxy_wasm.property_path('no', 'such', 'property'))!r}")


def loops() -> None:
    """Never comes back."""
    while True:
        pass


def traps() -> None:
    """Ends the VM: CPython runs bytecode unseen, and gives up at an instruction that there is not."""
    wrong = traps.__code__.replace(co_code=b"\xff\xff" * 4)
    types.FunctionType(wrong, {})()


def exits() -> None:
    """Would end the VM behind Python's back, without SystemExit."""
    os._exit(3)


class Connection(proxy_wasm.StreamContext):
    """A connection that asks for a fault."""

    def on_new_connection(self) -> None:
        """Does what the last octet of the source address asks for."""
        address, _, _ = (proxy_wasm.get_property(SOURCE) or b"").decode().rpartition(":")
        globals()[asked_by(address)]()


class Open(proxy_wasm.RootContext):
    """Continues when a callback raises."""

    stream_context = Connection
    failure_policy = FailurePolicy.CONTINUE


class Closed(Open):
    """Closes the connection when a callback raises."""

    failure_policy = FailurePolicy.CLOSE


proxy_wasm.register(Open, "open")
proxy_wasm.register(Closed, "closed")
