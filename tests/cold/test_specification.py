"""The runner of the WebAssembly specification's tests: it finds what differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from tests.cold import specification
from tests.cold.pair import INTERPRETER
from tests.cold.script import TRAP, meets
from tests.cold.specification import FORMS, run
from toolchain.tier.assemble import Tiered, assemble

# Modules in the order of their loading, by file name, and what is done between: as `wast2json` writes it of a script.
MODULES = {
    "numbers.wasm": """
      (global $global (export "global") (mut i64) (i64.const -7)) (memory 1) (data (i32.const 8) "abc") (tag (export "tag"))
      (func (export "i32") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
      (func (export "f32") (param f32) (result f32 f32) (f32.neg (local.get 0)) (local.get 0))
      (func (export "f64") (param f64 f64) (result f64) (f64.add (local.get 0) (local.get 1)))
      (func (export "vector") (param v128) (result v128) (i32x4.add (local.get 0) (local.get 0)))
      (func (export "reference") (param externref) (result externref) (local.get 0))
      (func (export "parts") (param i32) (result i32) (local i32)
        (if (i32.gt_u (local.get 0) (i32.const 9)) (then (local.set 1 (i32.mul (local.get 0) (i32.const 1000)))))
        (if (i32.lt_u (local.get 0) (i32.const 5)) (then (local.set 1 (i32.add (local.get 1) (i32.const 100)))))
        (local.get 1))
      (func $deep (export "deep") (result i64) (i64.add (i64.const 1) (call $deep)))
      (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))""",
    "tags.wasm": '(tag (export "tag")) (func (export "f") (result i32) (i32.const 3))',
    "linked.wasm": """
      (import "numbers" "i32" (func $div (param i32 i32) (result i32))) (import "spectest" "print_i32" (func $print (param i32)))
      (func (export "div") (param i32) (result i32) (call $print (local.get 0)) (call $div (i32.const 12) (local.get 0)))""",
    "missing.wasm": '(import "numbers" "nothing" (func))',
    "traps.wasm": "(func $start (unreachable)) (start $start)",
    "refused.wasm": '(import "spectest" "memory" (memory 1 2)) (memory (export "again") 1) (func (export "f"))',
}


def value(kind: str, number: int | str) -> dict[str, Any]:
    return {"type": kind, "value": str(number)}


def vector(*lanes: int) -> dict[str, Any]:
    return {"type": "v128", "lane_type": "i32", "value": [str(lane) for lane in lanes]}


def does(
    kind: str, field: str, *arguments: Any, expected: tuple[Any, ...] = (), module: str | None = None
) -> dict[str, Any]:
    action = {"type": "invoke", "field": field, "args": list(arguments)} | ({"module": module} if module else {})
    return {"type": kind, "action": action, "expected": list(expected)}


SIGNALLING = 0x7FA0_0001
COMMANDS: list[dict[str, Any]] = [
    {"type": "module", "filename": "numbers.wasm", "name": "$numbers"},
    {"type": "register", "as": "numbers", "name": "$numbers"},
    does("assert_return", "i32", value("i32", 7), value("i32", 2), expected=(value("i32", 3),)),
    does("assert_return", "i32", value("i32", 2**32 - 8), value("i32", 2), expected=(value("i32", 2**32 - 4),)),
    does("assert_trap", "i32", value("i32", 7), value("i32", 0)),
    does(
        "assert_return",
        "f32",
        value("f32", SIGNALLING),
        expected=(value("f32", SIGNALLING | 1 << 31), value("f32", SIGNALLING)),
    ),
    does(
        "assert_return",
        "f64",
        value("f64", 0x7FF << 52),
        value("f64", 0xFFF << 52),
        expected=(value("f64", "nan:canonical"),),
    ),
    does("assert_return", "vector", vector(1, 2, 3, 2**32 - 1), expected=(vector(2, 4, 6, 2**32 - 2),)),
    does("assert_return", "reference", value("externref", 5), expected=(value("externref", 5),)),
    does("assert_return", "reference", value("externref", "null"), expected=(value("externref", "null"),)),
    does("assert_return", "parts", value("i32", 12), expected=(value("i32", 12000),)),
    does("assert_return", "parts", value("i32", 3), expected=(value("i32", 100),)),
    does("assert_exhaustion", "deep"),
    does("assert_return", "load", value("i32", 8), expected=(value("i32", 97),)),
    does("assert_trap", "load", value("i32", 65536)),
    {"type": "assert_return", "action": {"type": "get", "field": "global"}, "expected": [value("i64", 2**64 - 7)]},
    {"type": "module", "filename": "tags.wasm"},
    does("assert_return", "f", expected=(value("i32", 3),)),
    {"type": "module", "filename": "linked.wasm"},
    does("assert_return", "div", value("i32", 5), expected=(value("i32", 2),)),
    does("assert_trap", "div", value("i32", 0)),
    does("action", "i32", value("i32", 1), value("i32", 1), module="$numbers"),
    {"type": "assert_unlinkable", "filename": "missing.wasm"},
    {"type": "assert_uninstantiable", "filename": "traps.wasm"},
    {"type": "assert_invalid", "filename": "nowhere.wasm"},
]
REFUSED: list[dict[str, Any]] = [
    {"type": "module", "filename": "refused.wasm", "name": "$refused"},
    {"type": "register", "as": "refused", "name": "$refused"},
    does("assert_return", "f"),
]


@pytest.fixture
def script(tmp_path: Path) -> Callable[[list[dict[str, Any]]], Path]:
    def write(commands: list[dict[str, Any]]) -> Path:
        for name, text in MODULES.items():
            (tmp_path / name).write_bytes(wasmtime.wat2wasm(f"(module {text})"))
        numbered = [command | {"line": line} for line, command in enumerate(commands, 1)]
        (tmp_path / "script.json").write_text(json.dumps({"commands": numbered}))
        return tmp_path / "script.json"

    return write


Script = Callable[[list[dict[str, Any]]], Path]


@pytest.mark.parametrize("form", FORMS)
def test_both_worlds_come_to_the_same(script: Script, form: str) -> None:
    ran = run(script(COMMANDS), form)
    assert (ran.different, ran.unmet, ran.refused, ran.left) == ([], [], {}, 0)
    # All but `register` and what is only about validation, and the load of each module.
    assert ran.same == len(COMMANDS) - 2
    assert ran.modules == 5
    assert ran.functions >= ran.cold > 0


def test_what_is_refused_is_counted_with_its_sentence(script: Script) -> None:
    ran = run(script([*REFUSED, *COMMANDS]))
    assert ran.refused == {"the module imports its memory, which the cold tier does not know how to unpack": 1}
    assert (ran.left, ran.different) == (1, [])


def test_cold_code_that_does_something_else_is_found(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(data: bytes) -> tuple[Tiered, int]:
        changed = data.replace(b"\x20\x00\x20\x01\x6d", b"\x20\x01\x20\x00\x6d")  # both operands of a division
        return assemble(changed, (), INTERPRETER), 1

    monkeypatch.setitem(FORMS, "all cold", other)
    ran = run(script(COMMANDS))
    assert "script.wast:3: (3,) compiled, (0,) cold" in ran.different
    monkeypatch.setitem(specification.EXPLAINED, "script.wast:3", "it is known")
    ran = run(script(COMMANDS))
    assert ran.explained == ["script.wast:3: it is known"]
    assert not [line for line in ran.different if line.startswith("script.wast:3:")]


def test_an_assertion_that_nobody_meets_is_found(script: Script) -> None:
    wrong = does("assert_return", "i32", value("i32", 7), value("i32", 2), expected=(value("i32", 4),))
    assert run(script([COMMANDS[0], wrong])).unmet == ["script.wast:2: (3,)"]
    assert not meets(does("assert_trap", "i32"), (3,))
    assert not meets(does("assert_return", "i32"), TRAP)
