"""Recognises the parts of componentize-py's component, and says where each import leads once they are one module.

Nothing in a component names its parts, so each is known by what it exports, imports or is given. The parts are

    main       the memory, the table, the stack pointer, and the addresses that componentize-py's linker chose, as globals
    libraries  libpython, libc, libdl and the like, each with its data at a base address; HELPERS is componentize-py's own
    traps      modules of nothing but traps, one for each WASI interface that the filter may not use
    slots      functions that call through a table, for the calls that cross to a part which is instantiated later
    fixups     the part that fills this table, and then has nothing more to do
    setup      the part that fills the libraries' table and runs their constructors

What must be kept in sync: `LIBRARIES` in `cpython/component.py` with the libraries of the pinned componentize-py, and `flatten.py`, which
drops slots, fixups and HELPERS from the merge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from toolchain.cpython.component import LIBRARIES
from toolchain.runtime.component import Component, Provider
from toolchain.wasm.format import GLOBAL_KIND, FormatError, Global, Import, Module, constant

BOUNDARY = "boundary"
MAIN = "main"
SETUP = "setup"
HELPERS = "helpers"


@dataclass(frozen=True)
class Layout:
    """The parts of a component. A part is known by the index of its core instance."""

    component: Component
    """The component, which resolves imports."""

    modules: Mapping[int, Module]
    """The core module of each part."""

    names: Mapping[int, str]
    """The name that each part gets in the merge."""

    main: int
    """The part with the memory and the table."""

    fixups: int
    """The part that fills the table of `slots`."""

    slots: int
    """The part whose functions call through that table."""

    indirect: Mapping[str, Provider]
    """What each function of `slots` calls in the end, by its name there."""

    traps: Mapping[int, str]
    """The parts of nothing but traps, each with the name of its WASI interface."""

    globals: Mapping[str, Global]
    """The globals that `main` exports: addresses, by symbol."""

    def target(self, part: int, imported: Import, adapter: frozenset[str]) -> tuple[str, str]:
        """Returns the module and name that an import of a part has in the merge; `adapter` is what the WASI adapter exports."""
        provider = self.component.provider(part, imported)
        if provider.instance == self.slots:
            provider = self.indirect[provider.name]
        if provider.instance is None:
            wanted = provider.name
        elif provider.instance in self.traps:
            wanted = f"{self.traps[provider.instance]}#{provider.name}"
        else:
            return self._named(provider)
        if wanted in adapter:
            return BOUNDARY, wanted
        if provider.instance is None:
            raise FormatError(f"the WASI adapter lacks {wanted}")
        return self._named(provider)

    def bases(self, elements: int) -> dict[int, int]:
        """Returns where the data and the elements of each library begin, to which its code adds, each with an end that lies behind them.

        `elements` is how many elements there are. Behind a library's data lies the next one's, or the heap.
        """
        data, functions = self._bases("__memory_base"), self._bases("__table_base")
        if not data:
            raise FormatError("none of its libraries says where it lies")
        ends = [*data[1:], self.address("__heap_end")]
        return dict(zip(data, ends, strict=True)) | dict.fromkeys(functions, elements)

    def _bases(self, wanted: str) -> list[int]:
        found = ((part, i) for part in self.modules for i in self.modules[part].imports() if i.name == wanted)
        return sorted({self.address(self.component.provider(part, imported).name) for part, imported in found})

    def _named(self, provider: Provider) -> tuple[str, str]:
        assert provider.instance is not None
        name = self.names[provider.instance]
        return name, f"{name}.{provider.name}"

    def address(self, symbol: str) -> int:
        """Returns the address of a symbol that componentize-py's linker placed."""
        return constant(self.globals[symbol].initial)

    def memory_base(self, part: int) -> int | None:
        """Returns where a library's data lies; None for a part that is no library."""
        base = [i for i in self.modules[part].imports() if i.name == "__memory_base"]
        return self.address(self.component.provider(part, base[0]).name) if base else None


def recognise(component: Component, modules: Mapping[int, Module]) -> Layout:
    """Returns the layout of a component, or raises FormatError: the text says which part was not found, or found twice."""
    exports = {i: {e.name for e in module.exports()} for i, module in modules.items()}
    main = _one(MAIN, (i for i in modules if {"__heap_base", "memory"} <= exports[i]))
    fixups = _one("fixups", (i for i in modules if list(component.instances[i].arguments) == [""]))
    filled = component.instances[fixups].arguments[""]
    indirect = {name: component.export(filled, name) for name in component.instances[filled].exports}
    slots = component.export(filled, "$imports").instance
    if slots is None:
        raise FormatError("its table for calls to later instances is nobody's")
    traps = _traps(component, modules, main, indirect)
    names = {i: f"traps {interface}" for i, interface in traps.items()} | {main: MAIN}
    for name, symbol in LIBRARIES.items():
        names[_one(name, (i for i in modules if i not in names and symbol in exports[i]))] = name
    names[_one(SETUP, (i for i in modules if not exports[i] and i != fixups))] = SETUP
    others = [i for i in modules if i not in names]
    names |= {i: f"part {n:02}" for n, i in enumerate(others)}
    return Layout(component, modules, names, main, fixups, slots, indirect, traps, _exported_globals(modules[main]))


def _one(what: str, found: Iterable[int]) -> int:
    parts = list(found)
    if len(parts) != 1:
        raise FormatError(f"{len(parts)} instances look like its {what}")
    return parts[0]


def _traps(
    component: Component, modules: Mapping[int, Module], main: int, indirect: Mapping[str, Provider]
) -> dict[int, str]:
    """Returns the parts that answer for WASI interfaces with traps, with the interface's name."""
    traps = {}
    for interface, instance in component.instances[main].arguments.items():
        if component.instances[instance].module is None and interface.startswith("wasi"):
            for name in component.instances[instance].exports:
                target = indirect.get(component.export(instance, name).name)
                if target is not None and target.instance is not None:
                    traps[target.instance] = interface
    return {i: traps[i] for i in modules if i in traps}


def _exported_globals(module: Module) -> dict[str, Global]:
    imported = sum(i.kind == GLOBAL_KIND for i in module.imports())
    values = module.globals()
    return {e.name: values[e.index - imported] for e in module.exports() if e.kind == GLOBAL_KIND}
