"""What follows from the ABI table: the stubs are generated from it, and the SDK's numbers agree with it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import proxy_wasm
from proxy_wasm import _dispatch, _errors
from proxy_wasm.testing.abi import CALLBACKS, STATUS
from toolchain.boundary.stubs import stubs

# Not resolve(): it would lead out of a sandbox made of links.
PACKAGE = Path(os.path.abspath(proxy_wasm.__file__)).parent


def test_the_stubs_are_the_tables() -> None:
    table = tomllib.loads((PACKAGE / "abi.toml").read_text(encoding="utf-8"))
    assert (PACKAGE / "stubs" / "_proxy_wasm.pyi").read_text(encoding="utf-8") == stubs(table)


def test_the_exceptions_are_the_tables_statuses() -> None:
    assert sorted(_errors.ERRORS) == sorted(set(STATUS.values()) - {STATUS["OK"]})


def test_the_dispatchers_are_the_tables_callbacks() -> None:
    assert ["proxy_" + name for name in _dispatch.CALLBACKS] == list(CALLBACKS)
    for name, function in _dispatch.CALLBACKS.items():
        assert function.__code__.co_varnames[: function.__code__.co_argcount] == CALLBACKS["proxy_" + name].parameters


def test_all_names_what_there_is() -> None:
    assert sorted(proxy_wasm.__all__) == proxy_wasm.__all__
    for name in proxy_wasm.__all__:
        assert hasattr(proxy_wasm, name)
