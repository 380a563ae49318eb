"""What is known of CPython: the part that C files get, and tables that must go together."""

from __future__ import annotations

import re
from pathlib import Path

from toolchain.cpython import compiler, recursion, types, waiting
from toolchain.cpython.header import header
from toolchain.cpython.start import STARTED_WITH

TOOLCHAIN = Path("toolchain")


def test_c_files_get_numbers_and_the_modules_that_cpython_starts_with() -> None:
    lines = header().splitlines()
    assert "#define LOCK_ACQUIRED 1" in lines
    assert '#define WASI_VERSION "@0.2.0"' in lines
    [frozen] = [line for line in lines if line.startswith("#define FROZEN_MODULES ")]
    modules = re.findall(r'\{"([\w.]+)"(, 0, 0, 1)?\}', frozen)
    assert [name for name, _ in modules] == [*STARTED_WITH, "boot"]
    assert [name for name, package in modules if package] == ["encodings"]


def test_every_wait_has_a_function_that_is_called_instead() -> None:
    source = (TOOLCHAIN / "runtime/waits.c").read_text()
    assert tuple(re.findall(r'EXPORT\("waits#(\w+)"\)', source)) == waiting.WAITING


def test_every_function_that_is_called_instead_is_there() -> None:
    source = (TOOLCHAIN / "guard/recursion.c").read_text()
    exported = set(re.findall(r'EXPORT\("(stackguard#\w+)"\)', source))
    raising = {failure.raises for failure in recursion.CHECKED.values() if failure.raises}
    named = raising | {recursion.STACK_POINTER, compiler.REFUSE, *recursion.CALLED_INSTEAD.values()}
    assert named | {*recursion.REFUSED.values(), *recursion.ASKED_BEFORE.values()} == exported


def test_the_compiler_is_left_out_by_a_function_that_the_boundary_has() -> None:
    assert f'EXPORT("{compiler.LEAVE_OUT}")' in (TOOLCHAIN / "guard/recursion.c").read_text()


def test_nothing_checks_and_needs_no_check() -> None:
    bounded = {name for names in recursion.BOUNDED for name in names.split()}
    assert recursion.CHECKED.keys() & bounded == set()


def test_a_class_is_a_type_with_its_tables_behind_it() -> None:
    begin, end = types.HEAP_TABLES[:-1], types.HEAP_TABLES[1:]
    assert begin[0] == types.TYPE_SIZE
    assert sorted(after - before for before, after in zip(begin, end, strict=True)) == sorted(types.TABLES.values())
    assert {types.VECTORCALL, types.ATTRIBUTE} <= set(types.SLOTS)
