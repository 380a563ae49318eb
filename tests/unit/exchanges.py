"""What the tests of HTTP contexts share: an exchange of a filter that is given as methods, and the exceptions in its log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proxy_wasm import Action, FailurePolicy, HttpContext, RootContext
from proxy_wasm.testing.exchange import Exchange
from proxy_wasm.testing.inprocess import InProcess

CONTINUE, PAUSE = Action.CONTINUE, Action.PAUSE
CLOSED = {"failure_policy": FailurePolicy.CLOSE}


def plugin(root: dict[str, Any] | None = None, **methods: object) -> type[RootContext]:
    """Returns a root whose HTTP context has these methods."""
    return type("Plugin", (RootContext,), {**(root or {}), "http_context": type("Request", (HttpContext,), methods)})


@pytest.fixture
def run() -> Iterator[Callable[..., Exchange]]:
    """Makes an exchange of a filter with these methods."""
    vms: list[InProcess] = []

    def run(root: dict[str, Any] | None = None, **methods: object) -> Exchange:
        vms.append(InProcess(plugin(root, **methods)).__enter__())
        assert vms[-1].start()
        return vms[-1].exchange()

    yield run
    for vm in vms:
        vm.__exit__(None, None, None)


def errors(exchange: Exchange) -> list[str]:
    """Returns the exceptions in the log."""
    return [line.rpartition("): ")[2] for line in exchange.vm.host.lines(4) if "Error: " in line]
