"""Makes one core module of componentize-py's component, joins CPython to the Proxy-Wasm ABI there, and starts it.

    component ──split──> parts ──recognise──> layout ──link──> boundary, at the end of the parts' memory and table
                                                │                 │
                                                └──── renamed ────┴──merge──> one module ──guard──> ──export──> flat module
                                                                                                                   │
    runtime <──charge── optimised <──wasm-opt── started <──start───────────────────────────────────────────────────┘

Each part becomes a module of its own name, and its exports carry that name as a prefix. So a merge by name can never confuse two
functions called `malloc`. Only import and export sections are rewritten, beside the data: the memory is the libraries' own, before
anything ran. componentize-py's own library is left out, with its state.

    memory   0 ... shadow stack ... 1 MiB ... data of each library ... `__heap_end` ... boundary's data ... heap
    table    elements of the libraries, at the indices that componentize-py's linker chose ... boundary's elements

What must be kept in sync: the boundary is linked to lie behind the libraries (`boundary.Place`), and `_main` makes the memory and
the table as large as the boundary asks for. What stays exported is the ABI, the builder's functions (`boundary.BUILD_PREFIX`), which
`snapshot.py` drops, and the memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.abi import Abi
from toolchain.boundary import generate as boundary
from toolchain.cpython.compiler import ENTRIES
from toolchain.cpython.component import BUILTINS, FROZEN_TABLES, LIBPYTHON
from toolchain.cpython.recursion import ALWAYS_REFUSED, REFUSED, UNUSED
from toolchain.guard import stackguard
from toolchain.guard.callgraph import RELOCATIONS, CallGraph, call_graph
from toolchain.guard.charge import charge
from toolchain.guard.data import read_constants, read_table
from toolchain.guard.recursion import rules_of
from toolchain.guard.types import find_types, verify_layout
from toolchain.runtime import docstrings, owners, pristine, unused, waits
from toolchain.runtime.component import split
from toolchain.runtime.layout import BOUNDARY, HELPERS, MAIN, SETUP, Layout, recognise
from toolchain.runtime.owners import Owners
from toolchain.runtime.start import start
from toolchain.tools import ToolchainError, Tools, read
from toolchain.vm.builder import export_globals
from toolchain.vm.builtins import Builtins
from toolchain.wasm.code import UNREACHABLE, data_segment, element_segment, function_body
from toolchain.wasm.format import (
    DATA,
    ELEMENT,
    FUNC_KIND,
    FUNCREF,
    FUNCTION,
    IMPORT,
    MEMORY,
    MEMORY_KIND,
    NAMES,
    TABLE,
    TABLE_KIND,
    TYPE,
    Export,
    FormatError,
    Import,
    Module,
    Reader,
    constant,
    leb,
    limits,
    read_limits,
    vector,
)

_STACK_POINTER = f"{MAIN}.__stack_pointer"


@dataclass(frozen=True)
class Part:
    """A module of the merge, under the name by which the others import from it."""

    name: str
    module: Module


@dataclass(frozen=True)
class Extension:
    """The C boundary with the WASI adapter, linked behind the libraries."""

    module: Module
    """Its core module, which imports memory and table from the main part."""

    pages: int
    """What the memory must have for it, in pages."""

    elements: int
    """What the table must have for it, in elements."""

    adapter: frozenset[str]
    """The WASI functions that it answers, as `interface#function`."""

    kept: frozenset[str]
    """Its other exports: what the flat module exports too."""


@dataclass(frozen=True)
class Built:
    """A runtime."""

    module: bytes

    names: Mapping[int, str]
    """The names of its functions, by index."""

    builtins: Builtins
    """What its modules of C need."""


def flatten(component: bytes, wheel: pristine.Wheel, abi: Abi, tools: Tools) -> tuple[bytes, Owners]:
    """Returns the flat module: a component's parts as one core module, joined to the ABI, in the state before anything ran.

    With it comes who needs what in it.

    Raises FormatError for a component that is not laid out as the pinned componentize-py does it.
    """
    tools.say("making one module of the component")
    layout = recognise(*split(component))
    # Before the imports, by which they are found, get other names.
    place = _place(layout)
    bases = layout.bases(place.table)
    extension = _extension(boundary.build(tools, abi, place, tools.work))
    data = _pristine(layout, wheel)
    flat = _merged([*_parts(layout, extension, data), Part(BOUNDARY, extension.module)], tools)
    exports = {e.name: e for e in flat.exports()}
    stack_pointer, rules = exports[_STACK_POINTER].index, rules_of(flat.function_names())
    tools.say("guarding against deep recursion")
    graph = call_graph(flat, stack_pointer, rules.unfollowed, bases)
    constants = read_constants(flat, stack_pointer)
    table = read_table(flat, constants)
    verify_layout(flat, graph.data, table, constants)
    rules.verify(graph)
    tools.say("looking for what only some modules of C need")
    nobodys = unused.find(rules, UNUSED)
    refused, entries = ({rules.index(name) for name in names} for names in (REFUSED, ENTRIES))
    needed = _owners(flat, graph, table, exports, extension, place, nobodys | refused, entries)
    tools.say(f"leaving out {unused.drop(flat, graph, table, rules, nobodys):,} bytes of code that nothing can reach")
    stackguard.check(flat, {name: export.index for name, export in exports.items()}, stack_pointer, rules)
    waits.refuse(flat)
    flat.put_exports(_exports(exports, extension))
    flat.drop_custom_sections(keep=NAMES)
    return flat.encode(), needed


def _owners(
    flat: Module,
    graph: CallGraph,
    table: Mapping[int, int],
    exports: Mapping[str, Export],
    extension: Extension,
    place: boundary.Place,
    nobodys: Collection[int],
    entries: Collection[int],
) -> Owners:
    """Returns who needs what: always needed is what the boundary exports or has in the table, and what makes the libraries ready.

    What is `nobodys`, or refused, needs nothing. `entries` ask for the compiler.
    """
    constants = read_constants(flat, exports[_STACK_POINTER].index)
    inittab = constants[exports[f"{MAIN}.{LIBPYTHON}:{BUILTINS}"].index]
    functions = {name: export.index for name, export in exports.items() if export.kind == FUNC_KIND}
    always = [index for name, index in functions.items() if name in extension.kept or name.endswith("._initialize")]
    always += [index for name, index in functions.items() if name in extension.adapter]
    always += [function for element, function in table.items() if element >= place.table]
    relocations = {index for name, index in functions.items() if name.endswith(RELOCATIONS)}
    runs = {index: run for index, run in graph.runs.items() if index not in relocations.union(nobodys)}
    types = find_types(flat, graph.data, table, constants)
    return owners.owners(CallGraph(runs, {}, (), graph.data), table, types, inittab, always, entries)


# ---- the boundary


def _place(layout: Layout) -> boundary.Place:
    """Returns where the boundary is to lie: behind all memory and all elements of the libraries."""
    main = layout.modules[layout.main]
    memory, table = Reader(main.get(MEMORY)), Reader(main.get(TABLE))
    if memory.u32() != 1 or table.u32() != 1 or table.u8() != FUNCREF:
        raise FormatError("its main module does not define one memory and one table of functions")
    frozen = [layout.address(f"{LIBPYTHON}:{name}") for name in FROZEN_TABLES]
    return boundary.Place(layout.address("__heap_end"), read_limits(table), *frozen)


def _extension(linked: Path) -> Extension:
    """Reads the linked boundary, and has it import memory and table from the main part."""
    module = Module(read(linked))
    own = {"memory": f"{MAIN}.memory", "__indirect_function_table": f"{MAIN}.__indirect_function_table"}
    pages, elements = _limits(module, MEMORY_KIND), _limits(module, TABLE_KIND)
    module.put_imports(
        Import(MAIN, own[i.name], i.kind, i.descriptor) if i.module == "env" and i.name in own else i
        for i in module.imports()
    )
    module.drop_custom_sections(keep=NAMES)
    exports = {e.name for e in module.exports()}
    adapter = frozenset(name for name in exports if "#" in name)
    return Extension(module, pages, elements, adapter, frozenset(exports) - adapter)


def _limits(module: Module, kind: int) -> int:
    descriptor = next(i.descriptor for i in module.imports() if i.kind == kind)
    return read_limits(Reader(descriptor, 1 if kind == TABLE_KIND else 0))


# ---- the parts


def _pristine(layout: Layout, wheel: pristine.Wheel) -> bytes:
    """Returns the body of a data section with the libraries' own data, less the docstrings."""
    segments = []
    for part, module in layout.modules.items():
        base = layout.memory_base(part)
        if base is not None and layout.names[part] != HELPERS:
            pointers = docstrings.pointers(module)
            segments += [(base + at, docstrings.clear(data, at, pointers)) for at, data in wheel.segments(module)]
    return vector(data_segment(address, data) for address, data in sorted(segments))


def _parts(layout: Layout, extension: Extension, data: bytes) -> Iterator[Part]:
    """Yields the parts in the order of their names, each with the imports and exports that it has in the merge."""
    dropped = {layout.fixups, layout.slots} | {part for part, name in layout.names.items() if name == HELPERS}
    for part in sorted(layout.modules.keys() - dropped, key=lambda i: layout.names[i]):
        name, module = layout.names[part], layout.modules[part]
        if part in layout.traps:
            yield Part(name, _sorted_traps(module, name))
            continue
        if name == SETUP:
            module = _filled_table(layout, part)
        elif name == MAIN:
            module = _main(module, extension, data)
        targets = ((layout.target(part, i, extension.adapter), i) for i in module.imports())
        module.put_imports([Import(*target, i.kind, i.descriptor) for target, i in targets])
        module.put_exports([Export(f"{name}.{e.name}", e.kind, e.index) for e in module.exports()])
        module.drop_custom_sections(keep=NAMES)
        yield Part(name, module)


def _main(module: Module, extension: Extension, data: bytes) -> Module:
    """Gives the main part the libraries' data, and a memory and a table in which the boundary has room too."""
    module.put(DATA, data)
    module.put(TABLE, vector([bytes([FUNCREF]) + limits(extension.elements)]))
    module.put(MEMORY, vector([limits(extension.pages)]))
    return module


def _filled_table(layout: Layout, part: int) -> Module:
    """Leaves of the setup part what the libraries need of it: the table's elements for their pointers to functions."""
    module = layout.modules[part]
    functions = [i for i in module.imports() if i.kind == FUNC_KIND]
    used: list[Import] = []
    segments = []
    reader = Reader(module.get(ELEMENT))
    for _ in reader.repeat():
        if reader.u8() != 0:
            raise FormatError("its setup module has elements of another kind than a table's functions")
        first = constant(reader.expression())
        for slot in reader.repeat():
            function = functions[reader.u32()]
            provider = layout.component.provider(part, function)
            if provider.instance is None or layout.names[provider.instance] == HELPERS:
                continue
            if function not in used:
                used.append(function)
            segments.append(element_segment(first + slot, [used.index(function)]))
    tables = [i for i in module.imports() if i.kind == TABLE_KIND]
    module.sections = [(i, body) for i, body in module.sections if i in (TYPE, IMPORT, ELEMENT)]
    module.put_imports(used + tables)
    module.put(ELEMENT, vector(segments))
    return module


def _sorted_traps(module: Module, name: str) -> Module:
    """Writes a module of nothing but `unreachable` anew: componentize-py orders its functions by a hash map."""
    reader = Reader(module.get(TYPE))
    types = []
    for _ in reader.repeat():
        first = reader.position
        reader.u8(), reader.take(reader.u32()), reader.take(reader.u32())
        types.append(reader.data[first : reader.position])
    functions = Reader(module.get(FUNCTION)).numbers()
    exports = sorted(module.exports(), key=lambda e: e.name)
    module.sections = [
        (TYPE, vector(types[functions[e.index]] for e in exports)),
        (FUNCTION, vector(leb(i) for i in range(len(exports)))),
    ]
    module.put_exports(Export(f"{name}.{e.name}", FUNC_KIND, i) for i, e in enumerate(exports))
    module.put_bodies(function_body(UNREACHABLE) for _ in exports)
    return module


# ---- the whole


def _merged(parts: list[Part], tools: Tools) -> Module:
    """Returns one module of all parts: each import is joined to the export of that name."""
    arguments: list[object] = []
    for number, part in enumerate(parts):
        path = tools.work / f"{number:03}.wasm"
        path.write_bytes(part.module.encode())
        arguments += [path, part.name]
    merged = tools.work / "merged.wasm"
    tools.binaryen("wasm-merge", "-g", *arguments, "-o", merged)
    return Module(read(merged))


def _exports(merged: dict[str, Export], extension: Extension) -> Iterator[Export]:
    """Yields what the flat module exports, of what the merge does: the boundary's, the memory, and what the builder calls."""
    chosen = {name: name for name in sorted(extension.kept)}
    chosen |= {"memory": f"{MAIN}.memory", boundary.STACK_POINTER: _STACK_POINTER}
    for prefix, symbol in (
        (boundary.BUILD_RELOCATE, ".__wasm_apply_data_relocs"),
        (boundary.BUILD_CONSTRUCT, "._initialize"),
    ):
        chosen |= {prefix + name.removesuffix(symbol): name for name in merged if name.endswith(symbol)}
    for name, source in chosen.items():
        yield Export(name, merged[source].kind, merged[source].index)


def build(component: bytes, stdlib: Path, abi: Abi, tools: Tools) -> Built:
    """Returns the runtime that a component becomes, started and optimised."""
    try:
        flat, needed = flatten(component, pristine.Wheel(pristine.binary(), tools), abi, tools)
    except (FormatError, KeyError) as error:
        raise ToolchainError(
            f"the component is not laid out as the pinned componentize-py lays components out: {error}; "
            "check its version in third_party/pip/build.lock"
        ) from error
    unoptimized, optimized = tools.work / "flat.wasm", tools.work / "optimized.wasm"
    unoptimized.write_bytes(start(flat, stdlib, tools.say))
    tools.say("optimising")
    # For size, as guest time is that of -O2. Functions that are called from many places have short indices.
    # No pointer leads into the first 1,024 bytes, where the shadow stack ends: its guard stops before. So a sum with a small constant does
    # not overflow, and the constant can be part of the load or store.
    # What asks for the compiler stays a function, so that all behind it is seen to be called from there only.
    options = [f"--no-inline={name}" for name in ENTRIES]
    options += ["-Os", "--low-memory-unused", "--reorder-functions", "-g"]
    tools.binaryen("wasm-opt", *options, unoptimized, "-o", optimized)
    runtime = Module(read(optimized))
    names = runtime.function_names()
    builtins = owners.in_runtime(needed, Module(flat), runtime, names, ALWAYS_REFUSED)
    charge(runtime, next(e.index for e in runtime.exports() if e.name == boundary.STACK_POINTER))
    runtime.drop_custom_sections()
    export_globals(runtime)
    return Built(runtime.encode(), names, builtins)
