"""Builds a filter of CPython's own tests, and runs each class of them in a VM, compiled and cold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import wasmtime

from proxy_wasm.testing.wasm import GuestExit, GuestStuck, WasmModule
from tests.conformance.record import Outcome, Outcomes
from toolchain.recipe import filter
from toolchain.recipe.filter import FilterInputs

LIMIT_SECONDS = 60.0
"""What the tests of one class may take of the processor; then the one that runs counts as one without an end."""

_CHOSEN = """
test_json test_re test_struct test_datetime datetimetester test_ipaddress test_hashlib test_hmac test_base64
test_binascii test_zlib test_collections test_deque test_defaultdict test_ordered_dict test_itertools test_functools
test_operator test_heapq test_bisect test_str test_bytes test_dict test_list test_tuple test_set test_int test_long
test_float test_complex test_bool test_range test_slice test_memoryview test_array test_exceptions test_baseexception
test_except_star test_exception_group test_traceback test_generators test_coroutines test_asyncgen test_contextlib
test_context test_dataclasses test_enum test_typing test_types test_urlparse test_email test_csv test_decimal
test_fractions test_statistics test_zoneinfo test_random test_uuid test_html test_http_cookies test_string test_textwrap
test_copy test_pickle test_marshal test_weakref test_gc test_builtin test_grammar test_fstring test_patma test_descr
test_super test_xml_etree test_codecs test_unicodedata test_time test_calendar test_math test_logging test_io
test_tomllib test_raise test_with
"""
CHOSEN = _CHOSEN.split()
"""What filters use first."""

_ADDRESS = re.compile(r"0x[0-9a-f]{4,}")


@dataclass(frozen=True)
class Built:
    """A filter of tests."""

    compiled: bytes
    """All of it compiled."""

    cold: bytes
    """What a start does not call is cold."""


def names(library: Path, chosen: Sequence[str]) -> Iterator[str]:
    """Yields the modules of tests of some names below a directory of CPython's library: of a package those that it has."""
    for name in chosen:
        package = library / "test" / name
        if package.is_dir():
            yield from (f"test.{name}.{path.stem}" for path in sorted(package.glob("test_*.py")))
        elif (library / "test" / f"{name}.py").is_file():
            yield f"test.{name}"


def every(library: Path) -> list[str]:
    """Returns the names of all modules of tests, packages too."""
    return sorted({path.stem for path in (library / "test").glob("test_*")})


def build(library: Path, modules: Sequence[str], work: Path) -> Built:
    """Returns a filter with these modules of tests; raises ToolchainError."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "conformance_modules.py").write_text(f"NAMES = {[*modules]!r}\n")
    inputs = FilterInputs(
        Path("toolchain"), Path("proxy_wasm/abi.toml"), (work, Path(), library), "tests.conformance.guest"
    )
    frozen = filter.freeze(inputs)
    return Built(frozen.module, filter.tiered(inputs, frozen).module)


class Runner:
    """Runs tests in VMs of one module: after one that ends its VM comes a new VM."""

    def __init__(self, module: bytes, cache: Path) -> None:
        self._module, self._cache = module, cache
        self._vm: WasmModule | None = None

    def version(self) -> str:
        """Returns the version of CPython in the module."""
        [[_, found]], _end = self._command({"version": ""})
        return found

    def classes(self, name: str) -> tuple[list[str], str]:
        """Returns the classes of a module of tests, or why it is not there."""
        lines, _ = self._command({"classes": name})
        absent = [words[1] for words in lines if words[0] == "absent"]
        return [words[1] for words in lines if words[0] == "class"], next(iter(absent), "")

    def run(self, name: str, cls: str) -> Outcomes:
        """Runs a class of tests. A test that ends the VM is left out of the next run, so that all others have one."""
        found: Outcomes = {}
        while True:
            lines, end = self._command({"run": name, "class": cls, "without": [*found]})
            running = ""
            for words in lines:
                if words[0] == "begins":
                    running = words[1]
                elif words[0] == "ended":
                    found[words[1]] = Outcome(words[2], _ADDRESS.sub("0x…", words[3]))
                    running = ""
            if not end:
                return found
            found[running or f"{name}.{cls}"] = Outcome(*end)
            if not running:
                return found

    def _command(self, command: dict[str, object]) -> tuple[list[list[str]], tuple[str, str] | None]:
        if self._vm is None:
            self._vm = WasmModule(self._module, cache=self._cache, limit_seconds=LIMIT_SECONDS)
            assert self._vm.start()
        self._vm.host.logs.clear()
        end = None
        vm = self._vm
        try:
            vm.configure(json.dumps(command).encode())
        except GuestStuck:
            end = "did not end", ""
        except GuestExit as error:
            end = "ended the VM", str(error)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            end = "ended the VM", str(error).splitlines()[-1].strip()
        if end:
            self._vm = None
        return [text[1:].split("\t") for _, text in vm.host.logs if text.startswith("\t")], end
