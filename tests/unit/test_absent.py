"""What a proxy has not fails in a callback in this process too, and nowhere else."""

# ruff: noqa: PTH102, PTH123, PTH208, SIM115
from __future__ import annotations

import io
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zoneinfo
from collections.abc import Callable
from time import sleep as waits

import pytest

import proxy_wasm
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.inprocess import InProcess

HERE = __file__

ASKED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "open": (lambda: open(HERE), FileNotFoundError, "No such file or directory"),
    "io.FileIO": (lambda: io.FileIO(HERE), FileNotFoundError, "No such file or directory"),
    "os.open": (lambda: os.open(HERE, os.O_RDONLY), FileNotFoundError, "No such file or directory"),
    "read_text": (lambda: pathlib.Path(HERE).read_text(), FileNotFoundError, "No such file or directory"),
    "mkdir": (lambda: os.mkdir("made"), FileNotFoundError, "No such file or directory"),
    "listdir": (lambda: os.listdir("."), FileNotFoundError, "No such file or directory"),
    "tempfile": (tempfile.TemporaryFile, FileNotFoundError, "o usable temporary directory|No such file"),
    "sleep": (lambda: time.sleep(0.001), RuntimeError, "await proxy_wasm.timers.sleep"),
    "sleep by another name": (lambda: waits(0.001), RuntimeError, "await proxy_wasm.timers.sleep"),
    "socket": (socket.socket, OSError, "there are no sockets in a proxy"),
    "urlopen": (lambda: urllib.request.urlopen("http://127.0.0.1:1/"), OSError, "there are no sockets in a proxy"),
    "run": (lambda: subprocess.run([sys.executable, "-V"], check=True), OSError, "does not support processes"),
    "thread": (lambda: threading.Thread(target=print).start(), RuntimeError, "there are no threads in a proxy"),
}

ALLOWED: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "sleep": lambda: time.sleep(0),
    "open of what is open": lambda: open(os.dup(1), "w").close(),
    "an import": lambda: __import__("this_is_lazy"),
    "a time zone": lambda: zoneinfo.ZoneInfo.no_cache("Europe/Berlin"),
    "a traceback's lines": lambda: __import__("linecache").getline(HERE, 1),
}


def is_done(what: Callable[[], object], host: Host | None = None) -> bool:
    """Tells whether a callback does something without an exception."""

    class Root(proxy_wasm.RootContext):
        def on_configure(self, configuration: bytes) -> bool:
            what()
            return True

    with InProcess(Root, host) as vm:
        return vm.start()


@pytest.mark.parametrize("name", ASKED)
def test_a_callback_is_told_what_a_module_is_told(name: str) -> None:
    asks, kind, text = ASKED[name]

    def tries() -> None:
        with pytest.raises(kind, match=text):
            asks()

    assert is_done(tries)
    with open(HERE) as file:  # the test itself may
        assert file.readline()
    time.sleep(0.0001)
    threading.Thread(target=str).start()


@pytest.mark.parametrize("name", ALLOWED)
def test_what_a_module_can_do_goes_on(name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "this_is_lazy.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert is_done(ALLOWED[name])


def test_what_a_tests_own_host_reads_is_the_tests() -> None:
    class Reads(Host):
        def proxy_get_property(self, path: bytes) -> bytes:
            return pathlib.Path(HERE).read_bytes()

    assert is_done(lambda: proxy_wasm.get_property(b"x"), Reads())


def test_what_a_test_has_replaced_is_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    assert is_done(lambda: time.sleep(5))
    assert slept == [5]
