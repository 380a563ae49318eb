"""Each name of the SDK says what it is, to `help()` too."""

from __future__ import annotations

import inspect
import pydoc
from collections.abc import Callable
from typing import cast

import proxy_wasm
from proxy_wasm import _fetch, grpc
from proxy_wasm.testing.docstrings import of_calls


def test_each_name_has_a_docstring() -> None:
    assert [name for name in proxy_wasm.__all__ if not getattr(proxy_wasm, name).__doc__] == []


def test_a_host_call_has_that_of_its_name() -> None:
    assert proxy_wasm.get_property.__doc__ == of_calls()["proxy_get_property"]
    assert str(proxy_wasm.get_property.__doc__).startswith("Returns the bytes of a property by its path")


def test_a_host_call_says_what_it_takes_and_returns() -> None:
    signatures = {
        proxy_wasm.get_property: "(path: 'bytes | str', /) -> 'bytes | None'",
        proxy_wasm.get_shared_data: "(key: 'bytes | str', /) -> 'tuple[bytes, int] | None'",
        proxy_wasm.record_metric: "(metric: 'int', value: 'int', /) -> 'None'",
    }
    for function, signature in signatures.items():
        assert str(inspect.signature(cast("Callable[..., object]", function))) == signature


def test_what_c_has_says_what_the_sdk_declares() -> None:
    assert "InternalFailureError" in str(proxy_wasm.http_call.__doc__)
    assert "InternalFailureError" in str(_fetch.fetch.__doc__)
    assert str(inspect.getdoc(proxy_wasm.HttpAnswer.failed)).startswith("Whether nobody answered: no status")
    assert str(inspect.getdoc(proxy_wasm.HttpAnswer.header)).endswith("names are in lower case.")


def test_help_shows_each_name() -> None:
    shown = pydoc.plain(pydoc.render_doc(proxy_wasm))
    assert [name for name in proxy_wasm.__all__ if name not in dir(proxy_wasm) or name not in shown] == []
    assert "class HttpContext(" in shown and "gather(" in shown


def test_help_shows_a_call_that_is_awaited() -> None:
    assert set(grpc.__all__) <= set(dir(grpc)) and "unary(" in pydoc.plain(pydoc.render_doc(grpc))
