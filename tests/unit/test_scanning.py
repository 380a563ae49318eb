"""Calls that can do nothing in a proxy are named with file and line, and what only looks like them is not."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

import proxy_wasm
from command import lacking, project, scanning
from proxy_wasm import _fetch, timers
from toolchain.tools import ToolchainError


def scanned(directory: Path, source: str, **others: str) -> list[str]:
    """Returns what is said of a plugin and the modules beside it, without the reasons."""
    for name, text in ({"plugin": source} | others).items():
        (directory / f"{name}.py").write_text(text)
    found = scanning.scan(project.of_file(directory / "plugin.py"))
    assert all(": " in sentence and len(sentence.split(": ", 2)) == 3 for sentence in found)
    return [sentence.rpartition(": ")[0] for sentence in found]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "def f():\n    import urllib.requst",
            ["plugin.py:2: import urllib.requst: there is no such module; did you mean urllib.request?"],
        ),
        (
            "from urllib.requst import urlopen",
            ["plugin.py:1: import urllib.requst: there is no such module; did you mean urllib.request?"],
        ),
        ("import urllib.request, os.path, mine.requst, urllib.nothing\nfrom urllib import requst", []),
        ("try:\n    import urllib.requst\nexcept ImportError:\n    pass", []),
    ],
)
def test_a_misspelt_module_of_the_library_is_named(tmp_path: Path, source: str, expected: list[str]) -> None:
    (tmp_path / "plugin.py").write_text(source)
    library = {"os", "os.path", "urllib", "urllib.request"}
    assert scanning.scan(project.of_file(tmp_path / "plugin.py"), library) == expected


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("open('x')", "open()"),
        ("import os\nos.open('x', 0)", "os.open()"),
        ("import os as o\no.listdir('/')", "os.listdir()"),
        ("from os import open as opened\nopened('x', 0)", "os.open()"),
        ("import os.path\nos.path.exists('x')", "os.path.exists()"),
        ("import os\nos.environ['HOME']", "os.environ"),
        ("import os\nos.environ.get('HOME')", "os.environ.get()"),
        ("import pathlib\npathlib.Path('x').read_text()", "pathlib.Path.read_text()"),
        ("from pathlib import Path\n(Path('x') / 'y').parent.joinpath('z').open()", "pathlib.Path.open()"),
        ("import shutil\nshutil.copyfile('x', 'y')", "shutil.copyfile()"),
        ("import socket\nsocket.create_connection(('x', 1))", "socket.create_connection()"),
        ("import urllib.request\nurllib.request.urlopen('x')", "urllib.request.urlopen()"),
        ("from urllib import request\nrequest.urlopen('x')", "urllib.request.urlopen()"),
        ("import threading\nthreading.Thread(target=print)", "threading.Thread()"),
        ("from concurrent.futures import ThreadPoolExecutor as E\nE()", "concurrent.futures.ThreadPoolExecutor()"),
        ("import subprocess\nsubprocess.run(['x'])", "subprocess.run()"),
        ("import time\ntime.sleep(1)", "time.sleep()"),
        ("import asyncio\nasync def f(): await asyncio.sleep(1)", "asyncio.sleep()"),
        ("from asyncio import gather\nasync def f(): await gather()", "asyncio.gather()"),
        ("class A:\n    def on_tick(self): self.fetch('a')", "self.fetch()"),
        ("class A:\n    def on_tick(this):\n        if this.x: return this.fetch('a').status", "this.fetch()"),
        ("import proxy_wasm\nproxy_wasm.get_propery('x')", "proxy_wasm.get_propery"),
        ("import proxy_wasm as p\nx = p.Acton.PAUSE", "proxy_wasm.Acton"),
        ("import proxy_wasm\nproxy_wasm.timers.sleep(1)", "proxy_wasm.timers"),
        ("from proxy_wasm import timer", "proxy_wasm.timer"),
        ("from proxy_wasm.timer import sleep", "proxy_wasm.timer"),
        ("import proxy_wasm.timer as t", "proxy_wasm.timer"),
        ("def f():\n    import sqlite3", "import sqlite3"),
        ("from sqlite3 import connect", "import sqlite3"),
        ("import json, multiprocessing.pool", "import multiprocessing.pool"),
        ("from compression import zstd", "import compression.zstd"),
        ("try:\n    pass\nexcept ImportError:\n    import sqlite3", "import sqlite3"),
        ("class A:\n    def open(self):\n        return open('x')", "open()"),
        ("class A:\n    async def on_tick(self):\n        self.fetch('a')", "self.fetch()"),
        ("class A:\n    async def f(this):\n        if this.x:\n            this.fetch('a').status", "this.fetch()"),
        ("from proxy_wasm.timers import sleep\nasync def f():\n    sleep(1)", "proxy_wasm.timers.sleep()"),
        ("import proxy_wasm\nasync def f(x):\n    proxy_wasm.gather(x)", "proxy_wasm.gather()"),
        ("from proxy_wasm import get_property\nget_property('source.address')", "proxy_wasm.get_property()"),
        ("import proxy_wasm\nproxy_wasm.get_property(b'request.path')", "proxy_wasm.get_property()"),
        ("import zoneinfo\nzoneinfo.ZoneInfo('Europe/Berlin')", "zoneinfo.ZoneInfo()"),
        ("breakpoint()", "breakpoint()"),
        ("import pdb\npdb.set_trace()", "pdb.set_trace()"),
        ("exit()", "exit()"),
        ("import sys\nsys.exit(1)", "sys.exit()"),
        ("import atexit\natexit.register(print)", "atexit.register()"),
    ],
)
def test_a_call_that_can_do_nothing_is_named(tmp_path: Path, source: str, name: str) -> None:
    # The call stands in the last line.
    assert scanned(tmp_path, source) == [f"plugin.py:{source.count(chr(10)) + 1}: {name}"]


@pytest.mark.parametrize(
    "source",
    [
        "def f(self):\n    self.open()\n    self.file.read_text()",
        "class A:\n    async def on_tick(self):\n        await self.fetch('a')",
        "class A:\n    async def on_tick(self):\n        a = self.fetch('a')\n        await proxy_wasm.gather(a)",
        "class A:\n    async def on_tick(self): self.x.fetch('a')",
        "import proxy_wasm\nproxy_wasm.get_property('source'), proxy_wasm.get_property('my.key'), proxy_wasm.get_property(X)",
        "class A:\n    def ask(self): return self.fetch('a')\n    def on_tick(self): self.other.fetch('a')",
        "class A:\n    def on_tick(self):\n        async def f():\n            await self.fetch('a')",
        "class A:\n    def on_tick(): pass",
        "import proxy_wasm\nproxy_wasm.HttpContext, proxy_wasm.gather, proxy_wasm.Action.PAUSE",
        "import proxy_wasm.timers\nproxy_wasm.timers.sleep(1)",
        "from proxy_wasm import grpc, timers, HttpContext, get_property\nfrom proxy_wasm.testing.inprocess import InProcess",
        "try:\n    from proxy_wasm import newer\nexcept ImportError:\n    newer = None",
        "from proxy_wasm import *\nimport proxy_wasm.testing.wasm",
        "import proxy_wasm\nfrom proxy_wasm import grpc\nproxy_wasm.grpc.call('a', 'b', 'c')",
        "def f(proxy_wasm): return proxy_wasm.nothing",
        "import asyncio\nasyncio.iscoroutine(1)",
        "def open(path): ...\nopen('x')",
        "from mine import open\nopen('x')",
        "def f(input): return input()",
        "import os\nos.path.join('a', 'b')",
        "'a'.replace('a', 'b')",
        "if __name__ == '__main__':\n    open('x')",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    open('x')",
        "try:\n    import sqlite3\nexcept (ImportError, OSError):\n    sqlite3 = None",
        "from .sqlite3 import connect",
        "import sqlite3_of_mine",
        "def broken(:",
    ],
)
def test_what_only_looks_like_it_is_not(tmp_path: Path, source: str) -> None:
    assert scanned(tmp_path, source) == []


def test_a_filter_with_time_zones_may_ask_for_one(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import zoneinfo\nzoneinfo.ZoneInfo('Europe/Berlin')\n")
    assert scanning.scan(project.of_file(plugin)) == [
        "plugin.py:2: zoneinfo.ZoneInfo(): time zones are files; have the package tzdata in packages, which puts them into the module"
    ]
    assert scanning.scan(project.of_file(plugin), has_zones=True) == []


def test_what_the_filter_imports_of_its_project_is_looked_through(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "__init__.py").write_text("from . import deep\n")
    (tmp_path / "inner" / "deep.py").write_text("from plugin import x\nopen('x')\n")
    found = scanned(
        tmp_path,
        "import helper, json\nfrom inner import deep\nx = 1\n",
        helper="import plugin\nopen('x')\n",
        unrelated="open('x')\n",
    )
    assert found == ["helper.py:2: open()", "inner/deep.py:2: open()"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"import json\n# caf\xe9\n", "helper.py:2: byte 0xe9 is not utf-8; save the file as UTF-8"),
        (b"\n\n\nNAME = 'caf\xe9'\n", "helper.py:4: byte 0xe9 is not utf-8; save the file as UTF-8"),
        (b"# coding: ascii\n# caf\xc3\xa9", "helper.py:2: byte 0xc3 is not ascii; save the file as UTF-8"),
        (b"# coding: latin-1\n# caf\xe9\n", ""),
        ("# café\n".encode(), ""),
        (b"\xef\xbb\xbf# x\n", ""),
        (b"# coding: nonsense\n", ""),
    ],
)
def test_a_module_that_is_not_in_its_encoding_is_refused(tmp_path: Path, source: bytes, said: str) -> None:
    (tmp_path / "plugin.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_bytes(source)
    with pytest.raises(ToolchainError) if said else contextlib.nullcontext() as refused:
        scanning.expect_text(project.of_file(tmp_path / "plugin.py"))
    assert not refused or str(refused.value) == said


def test_what_is_advised_is_there() -> None:
    reasons = {*scanning._CALLS.values(), *lacking._WHY_TOLD.values(), *lacking._WHY_UNTOLD.values()}
    advised = {name for why in reasons for name in re.findall(r"(\w+)\(\)", why)}
    assert "http_call" in advised and "fetch" in advised
    places = (proxy_wasm, proxy_wasm.RootContext, _fetch, timers)
    assert [name for name in advised if not any(hasattr(place, name) for place in places)] == []


def a_root(line: str) -> str:
    """Returns a plugin whose root has a line, the last one."""
    return f"from proxy_wasm import FailurePolicy, HttpContext, RootContext\nclass R(RootContext):\n    {line}"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("http_contxt = HttpContext", "R.http_contxt"),
        ("http_contexts: type[HttpContext] = HttpContext", "R.http_contexts"),
        ("stream_contex = None", "R.stream_contex"),
        ("failure_polcy = FailurePolicy.CLOSE", "R.failure_polcy"),
    ],
)
def test_an_attribute_that_nothing_reads_is_named(tmp_path: Path, line: str, name: str) -> None:
    assert scanned(tmp_path, a_root(line)) == [f"plugin.py:3: {name}"]


@pytest.mark.parametrize("line", ["http_context = HttpContext", "http_context = http_contexts = HttpContext", "a = 1"])
def test_attributes_that_are_read_or_unlike_them_are_not(tmp_path: Path, line: str) -> None:
    assert scanned(tmp_path, a_root(line)) == []
