"""What the interpreter in C and the toolchain in Python agree on is written once."""

from __future__ import annotations

import re
from pathlib import Path

from toolchain.tier import contract
from toolchain.wasm import opcodes as wasm

LOOP = Path("toolchain/tier/interpreter_loop.h").read_text(encoding="utf-8")


def test_each_opcode_has_a_number_of_its_own() -> None:
    numbers = list(contract.OPCODES.values())
    assert len(set(numbers)) == len(numbers) and max(numbers) < 256


def test_the_loop_has_a_case_for_each_opcode() -> None:
    cases = set(re.findall(r"\bcase (\w+):", LOOP)) | set(
        re.findall(r"^    (?:UNARY|BINARY|LOAD|STORE)\((\w+),", LOOP, re.M)
    )
    for name in re.findall(r"^    INTEGERS\((\w+),", LOOP, re.M):
        cases |= {name, f"{name}_CONST8"}
    for far in re.findall(r"^    JUMPS_\((\w*),", LOOP, re.M):
        cases |= {f"{jump}{far}" for jump in ("JUMP", "JUMP_IF", "JUMP_UNLESS", "JUMP_TABLE")}
    cases -= {"opcode"}  # the macros' own
    # These leave a number where it is, and are no instruction of cold code.
    nothing = {"I32_WRAP_I64"} | {name for name in contract.OPCODES if "REINTERPRET" in name}
    assert cases == set(contract.OPCODES) - nothing
    assert not re.search(r"\b0x", LOOP), "an opcode in numbers"


def test_a_structure_is_the_same_in_both_languages() -> None:
    pair = contract.Structure(
        "Pair",
        "Two.",
        (contract.Field("u8 *", "to", "where"), contract.Field("u64", "sum", "how much")),
        rest="u8 more[]",
    )
    assert pair.form.size == 12 and pair.offset("to") == 0 and pair.offset("sum") == 4
    assert pair.definition() == (
        "// Two.\ntypedef struct __attribute__((packed)) {\n  u8 *to; // where\n  u64 sum; // how much\n  u8 more[];\n} Pair;\n"
        '_Static_assert(sizeof(Pair) == 12, "Pair");'
    )


def test_the_header_has_everything() -> None:
    header = contract.header()
    for text in ("  I32_ADD = 0x6a,", "  I32_ADD_CONST8 = 0xd9,", "#define NONE 0xffffffffu", "#define ROOM 0x1640"):
        assert f"{text}\n" in header
    assert [f"}} {name};" in header for name in ("Body", "Block", "State")] == [True] * 3


def test_an_instruction_with_a_small_constant_is_one_on_integers() -> None:
    names = {wasm.NAMES[opcode] for opcode in contract.WITH_CONST8}
    assert {"I32_ADD", "I64_SHR_U", "I32_LT_S"} <= names
    # Division traps, and rotation is rare: these have no such form.
    assert not [name for name in names if re.search("DIV|REM|ROT|F32|F64|EQZ", name)]
