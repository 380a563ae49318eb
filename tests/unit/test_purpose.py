"""What a filter hears of, by the exports of its module."""

from __future__ import annotations

import pytest

from command import purpose
from toolchain.wasm.format import CORE_MODULE, FUNC_KIND, Export, Module

ALWAYS = ("context_create", "vm_start", "configure")


def exporting(*callbacks: str) -> frozenset[str]:
    """Returns what a module with these callbacks hears, and nothing else."""
    module = Module(CORE_MODULE)
    module.put_exports(Export(f"proxy_on_{name}", FUNC_KIND, 0) for name in (*ALWAYS, *callbacks))
    return purpose.heard(module.encode())


def test_a_filter_that_hears_of_nothing_is_told() -> None:
    [said] = purpose.idle(exporting("done"))
    assert "its root has no stream_context, no http_context, and no callback such as on_tick" in said


@pytest.mark.parametrize("callback", ["tick", "log", "queue_ready", "request_headers", "new_connection", "delete"])
def test_a_filter_that_hears_of_something_is_not(callback: str) -> None:
    assert purpose.idle(exporting(callback)) == []


def test_a_listener_of_the_other_kind_is_named() -> None:
    [said] = purpose.unheard(exporting("new_connection", "delete"), "main", http=True)
    assert said.startswith("the listener main gives the filter requests, and it has no http_context"), said
    assert said.endswith("--tcp takes an envoy.yaml with connections")
    [said] = purpose.unheard(exporting("request_headers", "delete"), "main", http=False)
    assert "gives the filter connections, and it has no stream_context" in said and "--http" in said


@pytest.mark.parametrize("http", [False, True])
@pytest.mark.parametrize("callbacks", [("new_connection", "request_headers"), ("tick",), ("log", "delete")])
def test_a_filter_of_both_or_of_neither_fits_any_listener(callbacks: tuple[str, ...], http: bool) -> None:
    assert purpose.unheard(exporting(*callbacks), "main", http) == []
