"""Each name of the SDK says what it is, to `help()` too."""

from __future__ import annotations

import proxy_wasm
from proxy_wasm.testing.docstrings import of_calls


def test_each_name_has_a_docstring() -> None:
    assert [name for name in proxy_wasm.__all__ if not getattr(proxy_wasm, name).__doc__] == []


def test_a_host_call_has_that_of_its_name() -> None:
    assert proxy_wasm.get_property.__doc__ == of_calls()["proxy_get_property"]
    assert str(proxy_wasm.get_property.__doc__).startswith("Returns the bytes of a property by its path")
