"""Modules of the standard library that a filter cannot import in a proxy, or do anything with, and why."""

from __future__ import annotations

import re

_C_LIBRARY = "CPython in a proxy has no C library for it"
_TLS = f"{_C_LIBRARY}, and the proxy does TLS; ask a cluster with self.fetch()"
_SQLITE = "there is no sqlite3 in a proxy, since a deep query would end the VM; keep what a filter looks up in a dict"
_PROCESSES = "there are no processes in a proxy"
_TERMINAL = "there is no terminal in a proxy"
_INTERPRETERS = "there is one interpreter in a proxy"

_UNTOLD = {
    _SQLITE: "sqlite3 _sqlite3 dbm.sqlite3",
    _PROCESSES: "multiprocessing concurrent.futures.process",
    _INTERPRETERS: "concurrent.interpreters",
    _C_LIBRARY: "compression.bz2 compression.lzma compression.zstd",
}
"""What a build takes without a warning."""

_TOLD = {
    _TLS: "ssl",
    _C_LIBRARY: "bz2 ctypes fcntl grp lzma mmap pwd resource syslog",
    _TERMINAL: "curses doctest pdb pty readline rlcompleter termios tkinter tty turtle",
}
"""What a build warns of, and does not know why."""


def _by_name(table: dict[str, str]) -> dict[str, str]:
    return {name: why for why, names in table.items() for name in names.split()}


_WHY_UNTOLD, _WHY_TOLD = _by_name(_UNTOLD), _by_name(_TOLD)
_WARNING = re.compile(r"^(?P<what>\S+:\d+: (?P<module>\S+) is imported .*, and will not be in the proxy): .*$")


def untold(module: str) -> str:
    """Returns why a module is of no use, if the build does not warn of its import; else nothing."""
    return _why(module, _WHY_UNTOLD)


def module(warning: str) -> str:
    """Returns the module of a build's warning that an import will fail; nothing for another warning."""
    found = _WARNING.match(warning)
    return found["module"] if found else ""


def explained(warning: str) -> str:
    """Returns a build's warning of an import with the reason for just that module."""
    found = _WARNING.match(warning)
    why = _why(found["module"], _WHY_TOLD) if found else ""
    return f"{found['what']}: {why}" if found and why else warning


def _why(module: str, table: dict[str, str]) -> str:
    parts = module.split(".")
    return next(filter(None, (table.get(".".join(parts[:end])) for end in range(len(parts), 0, -1))), "")
