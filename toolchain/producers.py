"""Says in a module what it was made of: the custom section `producers` of WebAssembly's conventions, which other tools show too.

The versions are not the builder's: CPython that runs in the module says its own, and the SDK that is frozen into it has its in a source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from toolchain.vm.sources import Sources
from toolchain.wasm.format import Module, Reader, text, vector

SECTION = "producers"
PYTHON, SDK = "Python", "proxy_wasm"
_SDKS_VERSION = "proxy_wasm.version"
_VERSION = re.compile(rb'^VERSION = "([^"]+)"$', re.MULTILINE)

Producers = Mapping[str, Mapping[str, str]]
"""Versions by name, in each of the conventions' fields: `language`, `processed-by` and `sdk`."""


def of_filter(python: str, sources: Sources) -> Producers:
    """Returns what a filter is made of: a version of Python, and the SDK if it is among the sources."""
    sdk = sources.find(_SDKS_VERSION)
    found = sdk and _VERSION.search(sdk.source)
    return {"language": {PYTHON: python}, **({"sdk": {SDK: found[1].decode()}} if found else {})}


class _Sectioned(NamedTuple):
    module: Module
    section: bytes
    """What follows the section's name; nothing if there is none."""


def _taken(data: bytes) -> _Sectioned:
    module, section = Module(data), b""
    for kind, body in list(module.sections):
        reader = Reader(body)
        if not kind and reader.name() == SECTION:
            module.sections.remove((kind, body))
            section = body[reader.position :]
    return _Sectioned(module, section)


def put(data: bytes, producers: Producers) -> bytes:
    """Returns a module with the section, as its last."""
    fields = (text(field) + vector(text(n) + text(v) for n, v in made.items()) for field, made in producers.items())
    return _put(_taken(data).module, vector(fields))


def copied(data: bytes, origin: bytes) -> bytes:
    """Returns a module with the section of another, from which it was made."""
    return _put(_taken(data).module, _taken(origin).section)


def _put(module: Module, section: bytes) -> bytes:
    if section:
        module.sections.append((0, text(SECTION) + section))
    return module.encode()


def read(data: bytes) -> Producers:
    """Returns what the section of a module says; nothing if it has none. Raises `FormatError` for a section that is none."""
    section = _taken(data).section
    if not section:
        return {}
    reader = Reader(section)
    return {reader.name(): {reader.name(): reader.name() for _ in reader.repeat()} for _ in reader.repeat()}
