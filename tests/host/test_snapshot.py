"""What the toolchain makes of a filter's sources, and what it says when it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.host.toolchain_case import ABI, STDLIB, build
from toolchain.tools import ToolchainError
from toolchain.verify import verify
from toolchain.vm.sources import Sources
from toolchain.wasm.format import Module

FILTER = """
import proxy_wasm

class Stream(proxy_wasm.StreamContext):
    def on_new_connection(self):
        return proxy_wasm.Action.CONTINUE

class Root(proxy_wasm.RootContext):
    stream_context = Stream

proxy_wasm.register(Root)
"""


def exported_callbacks(module: bytes) -> set[str]:
    return {e.name for e in Module(module).exports()} & set(ABI.callbacks)


def test_a_filter_is_a_module_that_a_proxy_can_load(tmp_path: Path) -> None:
    verify(build(tmp_path, {"plugin.py": FILTER}), ABI)


def test_callbacks_that_no_context_overrides_are_not_exported(tmp_path: Path) -> None:
    exported = exported_callbacks(build(tmp_path, {"plugin.py": FILTER}))
    assert "proxy_on_new_connection" in exported
    assert not {"proxy_on_downstream_data", "proxy_on_upstream_data", "proxy_on_tick", "proxy_on_log"} & exported


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    first = build(tmp_path / "one", {"plugin.py": FILTER})
    assert build(tmp_path / "another place", {"plugin.py": FILTER}) == first


def test_an_import_that_raises_fails_with_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError) as caught:
        build(tmp_path, {"plugin.py": "import broken\n", "broken.py": "\nvalue = 1 / 0\n"})
    text = str(caught.value)
    assert text.startswith("importing plugin failed:\nTraceback")
    assert 'File "broken.py", line 2' in text
    assert "value = 1 / 0" in text
    assert text.endswith("ZeroDivisionError: division by zero")


def test_a_syntax_error_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r'File "plugin.py", line 1'):
        build(tmp_path, {"plugin.py": "def :\n"})


COMPILER_FAULT = "\nclass C:\n    f = [lambda: __class__ for _ in range(1)]\n"


def test_a_source_on_which_the_compiler_fails_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r'File "plugin.py", line 2\n(.|\n)*the compiler fails on this statement'):
        build(tmp_path, {"plugin.py": COMPILER_FAULT})
    with pytest.raises(ToolchainError, match=r'File "plugin.py", line 1(.|\n)*File "other.py", line 3\n'):
        build(tmp_path, {"plugin.py": "import other", "other.py": "x = 1\n" + COMPILER_FAULT})


def test_json_s_encoder_in_c_is_not_used_for_indentation(tmp_path: Path) -> None:
    source = """
import json, json.encoder
assert json.dumps([1, {"a": []}], indent=1) == '[\\n 1,\\n {\\n  "a": []\\n }\\n]'
json.encoder.c_make_encoder = None
assert json.dumps([1], indent=1) == '[\\n 1\\n]'
def fails(*arguments):
    raise RuntimeError("C")
json.encoder.c_make_encoder = fails
json.dumps([1], indent=1)
json.dumps([1])
"""
    with pytest.raises(ToolchainError, match="RuntimeError: C") as raised:
        build(tmp_path, {"plugin.py": source})
    assert "line 10, in <module>" in str(raised.value)


def test_sqlite_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="ImportError: there is no sqlite3 in a proxy"):
        build(tmp_path, {"plugin.py": "import sqlite3"})


def test_a_missing_module_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="No module named 'nowhere'"):
        build(tmp_path, {"plugin.py": "import nowhere\n"})


def test_a_filter_that_registers_nothing_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="plugin registers no context"):
        build(tmp_path, {"plugin.py": "import json\n"})


def test_packages_and_namespace_packages_are_found(tmp_path: Path) -> None:
    files = {
        "plugin.py": "import company.tools.text\nfrom package import part\nassert company.tools.text.A + part.B == 3\n"
        + FILTER,
        "company/tools/text.py": "A = 1\n",
        "package/__init__.py": "",
        "package/part.py": "B = 2\n",
    }
    verify(build(tmp_path, files), ABI)


def test_a_standard_library_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "stdlib.zip").write_text("no zip file")
    with pytest.raises(ToolchainError, match="cannot read the standard library"):
        Sources([tmp_path], tmp_path / "stdlib.zip")
    assert Sources([tmp_path], STDLIB).find("json") is not None
