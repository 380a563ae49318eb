"""What follows from the ABI table: the stubs are generated from it, and the SDK's numbers agree with it."""

from __future__ import annotations

import ast
import inspect
import os
import sys
from pathlib import Path

import pytest

import proxy_wasm
from proxy_wasm import _dispatch, _errors, _register, grpc
from proxy_wasm._headers import Headers
from proxy_wasm.testing.abi import CALLBACKS, KINDS, STATUS, TABLE, Kind
from toolchain import abi as toolchain_abi
from toolchain.abi import read_abi
from toolchain.boundary.type_stubs import type_stubs

# Not resolve(): it would lead out of a sandbox made of links.
PACKAGE = Path(os.path.abspath(proxy_wasm.__file__)).parent
BOUNDARY = sys.modules["_proxy_wasm"]


def test_the_stubs_are_the_tables() -> None:
    hint = "write them anew: python3 -m toolchain type-stubs proxy_wasm/abi.toml > proxy_wasm/stubs/_proxy_wasm.pyi"
    assert (PACKAGE / "stubs" / "_proxy_wasm.pyi").read_text(encoding="utf-8") == type_stubs(TABLE), hint


def by_place(file: str, of: object) -> dict[str, list[str]]:
    """Returns which parameters each function of a class or a module takes by place only, as a file promises it (the first overload)."""
    tree: ast.AST = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    if isinstance(of, type):
        tree = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == of.__name__)
    found: dict[str, list[str]] = {}
    for node in ast.walk(tree) if isinstance(of, type) else ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, [parameter.arg for parameter in node.args.posonlyargs])
    return found


@pytest.mark.parametrize("of", [BOUNDARY, BOUNDARY.HeaderMap], ids=["functions", "HeaderMap"])
def test_the_stand_in_takes_by_place_what_the_stubs_say(of: object) -> None:
    promised = by_place("stubs/_proxy_wasm.pyi", of)
    assert len(promised) > 5
    for name, expected in promised.items():
        parameters = inspect.signature(getattr(of, name)).parameters.values()
        if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
            continue
        taken = [parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.POSITIONAL_ONLY]
        assert len(taken) - taken.count("self") == len(expected) - expected.count("self"), name
    if of is BOUNDARY.HeaderMap:
        assert promised.items() >= {name: by for name, by in by_place("_headers.py", Headers).items() if by}.items()


def test_the_toolchain_reads_the_same_table() -> None:
    assert read_abi(PACKAGE / "abi.toml") == TABLE
    assert toolchain_abi.Abi is type(TABLE)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_is_whole(kind: Kind) -> None:
    assert len(kind.c) == len(kind.wasm)
    assert bool(kind.take) == (kind.python == "int" and not kind.is_output)
    assert bool(kind.give) == kind.is_output
    assert (kind.least < kind.most) == (kind.python == "int")


def test_a_kind_that_nobody_knows(tmp_path: Path) -> None:
    table = (PACKAGE / "abi.toml").read_text(encoding="utf-8")
    (tmp_path / "abi.toml").write_text(table.replace('context_id = "u32"', 'context_id = "u33"'))
    with pytest.raises(KeyError, match="u33"):
        read_abi(tmp_path / "abi.toml")


def test_a_callback_is_on_contexts_that_there_are() -> None:
    for callback in CALLBACKS.values():
        assert callback.contexts and set(callback.contexts) <= {"root", "stream", "http"}


def test_the_guests_constants_are_the_tables() -> None:
    """The table is not in a filter's module."""
    assert set(_dispatch._ENDINGS) == {name for name, callback in CALLBACKS.items() if callback.ending}
    assert set(_register._ALWAYS) == {callback.method for callback in CALLBACKS.values() if callback.always}


def test_the_exceptions_are_the_tables_statuses() -> None:
    assert sorted(_errors.ERRORS) == sorted(set(STATUS.values()) - {STATUS["OK"]})


def test_the_dispatchers_are_the_tables_callbacks() -> None:
    # What follows is loaded by filters with HTTP, and with gRPC.
    assert {proxy_wasm.HttpContext.__name__, grpc.__name__} == {"HttpContext", "proxy_wasm.grpc"}
    assert {"proxy_" + name for name in _dispatch.CALLBACKS} == set(CALLBACKS)
    for name, function in _dispatch.CALLBACKS.items():
        assert function.__code__.co_varnames[: function.__code__.co_argcount] == CALLBACKS["proxy_" + name].parameters
    for name, function in _dispatch.FIRST.items():
        context_id, *more = CALLBACKS["proxy_" + name].parameters
        found = function.__code__.co_varnames[: function.__code__.co_argcount]
        assert found == (context_id, "root", *more) and CALLBACKS["proxy_" + name].first
    assert len(_dispatch.FIRST) == sum(callback.first for callback in CALLBACKS.values())


def test_all_names_what_there_is() -> None:
    assert sorted(proxy_wasm.__all__) == proxy_wasm.__all__
    for name in proxy_wasm.__all__:
        assert hasattr(proxy_wasm, name)
