"""Makes the runtime: flattens the component into one core module, joins CPython to the Proxy-Wasm ABI and starts it there.

Every core instance becomes a module of its own name whose exports carry that name as a prefix, so that a merge by name can never
confuse two functions called `malloc`. Only import and export sections are rewritten. The C boundary and the WASI adapter are one
more module of the merge; what remains exported is the Proxy-Wasm ABI, the builder's functions and the memory. componentize-py's
own part is left out, and its state: the memory is the libraries', before anything ran.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from toolchain import boundary, docstrings, pristine, stackguard
from toolchain.component import Component, Provider, split
from toolchain.interpreter import export_globals
from toolchain.start import start
from toolchain.tools import ToolchainError, Tools, read
from toolchain.wasm import (
    CODE,
    DATA,
    ELEMENT,
    EXPORT,
    FUNC_KIND,
    FUNCTION,
    GLOBAL_KIND,
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
    read_limits,
    sleb,
    text,
    vector,
)

BOUNDARY = "boundary"
START = "start"
# An export by which an instance is known. HELPERS is componentize-py's own part, which only its component needs.
HELPERS = "helpers"
_KNOWN = {
    "libpython": "PyLong_FromLong",
    "libc": "__wasilibc_reset_preopens",
    "libdl": "__wasm_set_libraries",
    HELPERS: "PyInit_componentize_py_runtime",
}
_UNREACHABLE = b"\3\0\0\x0b"  # a body: its size, no locals, unreachable, end


class Layout:
    """Which instance of componentize-py's component is which, and the names they get in the merge."""

    def __init__(self, component: Component, modules: dict[int, Module]) -> None:
        self.component = component
        exports = {i: {e.name for e in module.exports()} for i, module in modules.items()}
        self.main = self._one("main", [i for i in modules if {"__heap_base", "memory"} <= exports[i]])
        # Calls that cross to a later instance go through a table that one last module fills: skip that indirection.
        self.fixups = self._one("fixups", [i for i in modules if list(component.instances[i].arguments) == [""]])
        slots = component.instances[self.fixups].arguments[""]
        self.indirect = {name: component.export(slots, name) for name in component.instances[slots].exports}
        self.slots = component.export(slots, "$imports").instance
        self.stubs = self._stubs(modules)
        self.names = {i: f"stub {interface}" for i, interface in self.stubs.items()}
        self.names[self.main] = "main"
        for name, symbol in _KNOWN.items():
            self.names[self._one(name, [i for i in modules if i not in self.names and symbol in exports[i]])] = name
        self.names[self._one("start", [i for i in modules if not exports[i] and i != self.fixups])] = START
        others = [i for i in modules if i not in self.names]
        self.names |= {i: f"part {n:02}" for n, i in enumerate(others)}
        main = modules[self.main]
        imported = sum(i.kind == GLOBAL_KIND for i in main.imports())
        values = main.globals()
        self._globals = {e.name: values[e.index - imported] for e in main.exports() if e.kind == GLOBAL_KIND}

    @staticmethod
    def _one(what: str, found: list[int]) -> int:
        if len(found) != 1:
            raise FormatError(f"{len(found)} instances look like its {what}")
        return found[0]

    def _stubs(self, modules: dict[int, Module]) -> dict[int, str]:
        """Returns the instances that stand in for WASI interfaces, with the interface's name."""
        stubs = {}
        arguments = self.component.instances[self.main].arguments
        for interface, instance in arguments.items():
            if self.component.instances[instance].module is None and interface.startswith("wasi"):
                for name in self.component.instances[instance].exports:
                    provider = self.component.export(instance, name)
                    target = self.indirect.get(provider.name)
                    if target is not None and target.instance is not None:
                        stubs[target.instance] = interface
        return {i: stubs[i] for i in modules if i in stubs}

    def target(self, instance: int, imported: Import, adapter: set[str]) -> tuple[str, str]:
        """Returns the module and name that this import has in the merge; `adapter` holds what the WASI adapter exports."""
        provider = self.component.provider(instance, imported)
        if provider.instance == self.slots:
            provider = self.indirect[provider.name]
        if provider.instance is None:
            wanted = provider.name
        elif provider.instance in self.stubs:
            wanted = f"{self.stubs[provider.instance]}#{provider.name}"
        else:
            return self._named(provider)
        if wanted in adapter:
            return BOUNDARY, wanted
        if provider.instance is None:
            raise FormatError(f"the WASI adapter lacks {wanted}")
        return self._named(provider)

    def constant(self, name: str) -> int:
        """Returns the value of a global of the main module: an address."""
        return constant(self._globals[name].initial)

    def memory_base(self, instance: int, module: Module) -> int | None:
        """Returns where a library's data lies; None for what is no library."""
        base = [i for i in module.imports() if i.name == "__memory_base"]
        return self.constant(self.component.provider(instance, base[0]).name) if base else None

    def _named(self, provider: Provider) -> tuple[str, str]:
        assert provider.instance is not None
        name = self.names[provider.instance]
        return name, f"{name}.{provider.name}"


def _sorted_stub(module: Module, name: str) -> Module:
    """Writes a module of nothing but `unreachable` anew: componentize-py orders its functions by a hash map."""
    reader = Reader(module.get(TYPE))
    types = []
    for _ in reader.repeat():
        start = reader.position
        reader.u8(), reader.take(reader.u32()), reader.take(reader.u32())
        types.append(reader.data[start : reader.position])
    functions = Reader(module.get(FUNCTION)).numbers()
    exports = sorted(module.exports(), key=lambda e: e.name)
    module.sections = [
        (TYPE, vector(types[functions[e.index]] for e in exports)),
        (FUNCTION, vector(leb(i) for i in range(len(exports)))),
        (EXPORT, vector(text(f"{name}.{e.name}") + b"\0" + leb(i) for i, e in enumerate(exports))),
        (CODE, vector(_UNREACHABLE for _ in exports)),
    ]
    return module


def _limits(module: Module, kind: int) -> int:
    descriptor = next(i.descriptor for i in module.imports() if i.kind == kind)
    return read_limits(Reader(descriptor, 1 if kind == TABLE_KIND else 0))


def _filled_table(layout: Layout, index: int, module: Module) -> Module:
    """Leaves of the start module what the libraries need of it: the table's elements for their pointers to functions."""
    functions = [i for i in module.imports() if i.kind == FUNC_KIND]
    used: list[Import] = []
    segments = []
    reader = Reader(module.get(ELEMENT))
    for _ in reader.repeat():
        if reader.u8() != 0:
            raise FormatError("its start module has elements of another kind than a table's functions")
        start = constant(reader.expression())
        for slot in reader.repeat():
            function = functions[reader.u32()]
            provider = layout.component.provider(index, function)
            if provider.instance is None or layout.names[provider.instance] == HELPERS:
                continue
            if function not in used:
                used.append(function)
            segments.append(b"\0\x41" + sleb(start + slot) + b"\x0b\1" + leb(used.index(function)))
    tables = [i for i in module.imports() if i.kind == TABLE_KIND]
    module.sections = [(i, body) for i, body in module.sections if i in (TYPE, IMPORT, ELEMENT)]
    module.put_imports(used + tables)
    module.put(ELEMENT, vector(segments))
    return module


def _place(layout: Layout, main: Module) -> boundary.Place:
    memory, table = Reader(main.get(MEMORY)), Reader(main.get(TABLE))
    if memory.u32() != 1 or table.u32() != 1 or table.u8() != 0x70:
        raise FormatError("its main module does not define one memory and one table of functions")
    frozen = [layout.constant(f"libpython3.14.so:_PyImport_Frozen{what}") for what in ("Bootstrap", "Stdlib")]
    return boundary.Place(layout.constant("__heap_end"), read_limits(table), *frozen)


def _pristine(layout: Layout, modules: dict[int, Module], wheel: pristine.Wheel) -> bytes:
    """Returns the body of a data section with the libraries' own data, less the docstrings."""
    segments = []
    for index, module in modules.items():
        base = layout.memory_base(index, module)
        if base is not None and layout.names[index] != HELPERS:
            pointers = docstrings.pointers(module)
            segments += [(base + at, docstrings.clear(data, at, pointers)) for at, data in wheel.segments(module)]
    return vector(b"\0\x41" + sleb(address) + b"\x0b" + leb(len(data)) + data for address, data in sorted(segments))


def flatten(component_bytes: bytes, wheel: pristine.Wheel, abi: boundary.Abi, tools: Tools) -> bytes:
    """Returns the core module of a component, joined to the Proxy-Wasm ABI, in the state before anything ran."""
    component, modules = split(component_bytes)
    layout = Layout(component, modules)
    main = modules[layout.main]
    linked = Module(read(boundary.build(tools, abi, _place(layout, main), tools.work)))
    main.put(DATA, _pristine(layout, modules, wheel))
    main.put(TABLE, b"\1\x70\0" + leb(_limits(linked, TABLE_KIND)))
    main.put(MEMORY, b"\1\0" + leb(_limits(linked, MEMORY_KIND)))
    own = {"memory": "main.memory", "__indirect_function_table": "main.__indirect_function_table"}
    linked.put_imports(
        Import("main", own[i.name], i.kind, i.descriptor) if i.module == "env" and i.name in own else i
        for i in linked.imports()
    )
    linked.drop_custom_sections(keep=NAMES)
    adapter = {e.name for e in linked.exports() if "#" in e.name}
    merge: list[object] = []
    for index in sorted(modules, key=lambda i: layout.names[i]):
        name, module = layout.names[index], modules[index]
        if name == HELPERS or index in (layout.fixups, layout.slots):
            continue
        if name == START:
            module = _filled_table(layout, index, module)
        if index in layout.stubs:
            module = _sorted_stub(module, name)
        else:
            targets = ((layout.target(index, i, adapter), i) for i in module.imports())
            module.put_imports([Import(*target, i.kind, i.descriptor) for target, i in targets])
            module.put_exports([Export(f"{name}.{e.name}", e.kind, e.index) for e in module.exports()])
            module.drop_custom_sections(keep=NAMES)
        path = tools.work / f"{len(merge):03}.wasm"
        path.write_bytes(module.encode())
        merge += [path, name]
    path = tools.work / "linked.wasm"
    path.write_bytes(linked.encode())
    tools.binaryen("wasm-merge", "-g", *merge, path, BOUNDARY, "-o", tools.work / "merged.wasm")
    merged = Module(read(tools.work / "merged.wasm"))
    indices = {e.name: e.index for e in merged.exports()}
    stackguard.check(merged, indices[stackguard.REFUSE], indices["main.__stack_pointer"])
    kept = {e.name for e in linked.exports()} - adapter
    exports = {e.name: e for e in merged.exports()}
    chosen = {name: exports[name] for name in sorted(kept)} | {"memory": exports["main.memory"]}
    chosen[boundary.STACK_POINTER] = exports["main.__stack_pointer"]
    for name, symbol in (
        (boundary.BUILD_RELOCATE, ".__wasm_apply_data_relocs"),
        (boundary.BUILD_CONSTRUCT, "._initialize"),
    ):
        chosen |= {name + e.name.removesuffix(symbol): e for e in exports.values() if e.name.endswith(symbol)}
    merged.put_exports(Export(name, e.kind, e.index) for name, e in chosen.items())
    merged.drop_custom_sections(keep=NAMES)
    return merged.encode()


def _binary() -> Path:
    """Returns the binary of the componentize-py that is installed."""
    found = importlib.util.find_spec("componentize_py.componentize_py")
    if found is None or found.origin is None:
        raise ToolchainError("componentize-py is not installed")
    return Path(found.origin)


def build(component: bytes, stdlib: Path, abi: boundary.Abi, tools: Tools) -> tuple[bytes, dict[int, str]]:
    """Returns the runtime that a component becomes, started and optimised, and the names of its functions, by index."""
    try:
        flat = flatten(component, pristine.Wheel(_binary(), tools), abi, tools)
    except (FormatError, KeyError) as error:
        raise ToolchainError(
            f"the component is not laid out as the pinned componentize-py lays components out: {error}; "
            "check its version in third_party/pip/build.lock"
        ) from error
    unoptimized, optimized = tools.work / "flat.wasm", tools.work / "optimized.wasm"
    unoptimized.write_bytes(start(flat, stdlib))
    # For size, as guest time is that of -O2. Functions that are called from many places have short indices.
    tools.binaryen("wasm-opt", "-Os", "--reorder-functions", "-g", unoptimized, "-o", optimized)
    runtime = Module(read(optimized))
    names = runtime.function_names()
    stackguard.charge(runtime, next(e.index for e in runtime.exports() if e.name == boundary.STACK_POINTER))
    runtime.drop_custom_sections()
    export_globals(runtime)
    return runtime.encode(), names
