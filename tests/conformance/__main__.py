"""Runs the tests of others, and writes docs/conformance.json and the page that is made of it.

`./bazelw run //tests/conformance -- specification DIRECTORY` takes the WebAssembly specification's, as they are or as `wast2json` writes
them. `./bazelw run //tests/conformance -- cpython DIRECTORY` takes CPython's library, with its package `test`, and `-- natively DIRECTORY
--python PROGRAM` then asks a native CPython about the tests that fail.
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conformance import natively
from tests.conformance.kinds import is_explained
from tests.conformance.page import page
from tests.conformance.record import (
    PAGE,
    RECORD,
    CPython,
    Record,
    Specification,
    explain,
    is_new,
    read,
    remember,
    unexplained,
    write,
)

if TYPE_CHECKING:
    from tests.conformance.lots import Lot


def processor() -> str:
    """Returns the processor's model, as the kernel names it."""
    found = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else "an unnamed processor"


def today() -> str:
    """Returns the date, as ISO 8601 writes it."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


# ---- the WebAssembly specification's


def converted(directory: Path, work: Path) -> Iterator[Path]:
    """Yields the scripts of a directory as `wast2json` writes them; of one that it does not read, the name that it would have."""
    yield from sorted(directory.glob("*.json"))
    for wast in sorted(directory.glob("*.wast")):
        out = work / wast.stem / f"{wast.stem}.json"
        out.parent.mkdir()
        done = subprocess.run(["wast2json", "--enable-all", wast, "-o", out], capture_output=True, check=False)
        if done.returncode:
            out.unlink(missing_ok=True)
        yield out


def specification(directory: Path, suite: str, only: Sequence[str]) -> tuple[Specification, bool]:
    """Runs the scripts of a directory in every form of being cold; tells whether nothing was different."""
    from tests.cold.specification import FORMS, Ran, run

    with tempfile.TemporaryDirectory(prefix="conformance-") as work:
        scripts = [path for path in converted(directory, Path(work)) if not only or path.stem in only]
        found = [path for path in scripts if path.exists()]
        made = Specification(suite, today(), processor(), len(found), [p.stem for p in scripts if not p.exists()])
        compiled: set[Path] = set()
        for form in FORMS:
            total = Ran()
            for path in found:
                if path in compiled:
                    continue
                ran = run(path, form)
                total.add(ran)
                if not ran.cold:  # in no other form is anything of it cold
                    compiled.add(path)
                if ran.different or ran.unmet:
                    print(f"{form}: {path.stem}: {ran.different} {ran.unmet}", flush=True)
            made.forms[form] = {
                "scripts": total.scripts,
                "modules": total.modules,
                "refused": sum(total.refused.values()),
                "functions": total.functions,
                "cold": total.cold,
                "commands": total.same + len(total.different) + len(total.explained),
                "the same": total.same,
                "on refused modules": total.left,
            }
            made.refused = made.refused or dict(total.refused)
            made.different += [f"{form}: {line}" for line in total.different]
            made.explained = made.explained or total.explained
            print(f"{form}: {made.forms[form]}", flush=True)
    return made, not made.different


def main() -> int:
    """Runs what the command line says; the exit status is 1 if cold code did something else than compiled code."""
    parser = argparse.ArgumentParser(prog="conformance", description="Runs the tests of others.")
    parser.add_argument("what", choices=["specification", "cpython", "natively"])
    parser.add_argument("directory", type=Path, help="where the tests are")
    parser.add_argument("--suite", default="tests of an unnamed version", help="what they are, for the page")
    parser.add_argument(
        "--only", nargs="*", default=[], help="some scripts, or some modules of tests such as test_json"
    )
    parser.add_argument("--resume", action="store_true", help="of CPython's: what ran on an earlier runtime or never")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="of CPython's: when it begins no further filter of tests"
    )
    parser.add_argument("--jobs", type=int, default=1, help="of CPython's: how many filters are run at a time")
    parser.add_argument(
        "--compiled", action="store_true", help="of CPython's: compiled alone, for modules that take too long cold"
    )
    parser.add_argument("--python", type=Path, help="of natively: a CPython of the release of CPython's tests")
    options = parser.parse_args()
    workspace = Path(os.environ.get("PROXY_WASM_WORKSPACE", "."))
    directory = Path(os.environ.get("BUILD_WORKING_DIRECTORY", ""), options.directory)
    record = read((workspace / RECORD).read_text()) if (workspace / RECORD).is_file() else Record()

    def save() -> None:
        (workspace / RECORD).write_text(write(record))
        (workspace / PAGE).write_text(page(record))

    if options.what == "specification":
        record.specification, same = specification(directory, options.suite, options.only)
        save()
        return 0 if same else 1
    if options.what == "natively":
        assert record.cpython and options.python
        _ask_natively(record.cpython, options.python, directory)
        save()
        return 0
    found = record.cpython = _begun(record.cpython, options)
    wrong: list[tuple[str, str]] = []
    for lot in _lots(directory, found, options):
        found.left -= len(lot.modules.keys() - found.modules.keys())
        found.runtime = lot.runtime or found.runtime
        for name in lot.modules.keys() & found.modules.keys():
            remember(name, lot.modules[name], found.modules[name])
        for module in lot.modules.values():
            wrong += unexplained(module)
            wrong += [(test, "is not the same in all settings") for test in module.different if not is_explained(test)]
        found.modules.update(lot.modules)
        save()
    print("\n".join(f"{test}: {message}" for test, message in wrong))
    return 1 if wrong else 0


def _ask_natively(found: CPython, python: Path, library: Path) -> None:
    """Asks about each test that fails for no reason that `kinds.py` knows."""
    for name, module in found.modules.items():
        if tests := [test for test, _ in unexplained(module)]:
            reasons = natively.ask(python, library, Path("toolchain/stdlib.zip"), tests)
            explain(name, module, reasons)
            print(f"{name}: {len(tests)} tests, {len(reasons)} explained", flush=True)


def _begun(before: CPython | None, options: argparse.Namespace) -> CPython:
    from tests.conformance.lots import SETTINGS

    keeps = before is not None and (options.resume or options.only)
    modules = before.modules if before and keeps else {}
    return CPython(options.suite, before.runtime if before else "", today(), processor(), modules, SETTINGS)


def _lots(directory: Path, found: CPython, options: argparse.Namespace) -> Iterator[Lot]:
    from tests.conformance import lots
    from tests.conformance.regression import every, names

    modules = [
        name
        for name in names(directory, options.only or every(directory))
        if not (options.resume and name in found.modules and is_new(found.modules[name], lots.digest()))
    ]
    found.left = len(set(modules) - found.modules.keys())
    return lots.run(directory, modules, options.jobs, options.compiled, options.minutes)


if __name__ == "__main__":
    sys.exit(main())
