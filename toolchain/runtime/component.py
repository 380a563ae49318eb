"""Splits a component into its core module instances and tells for every import which instance provides it.

A component has one index space per sort. Walking its sections in order fills them; then each import of each core instance resolves
to an export of another core instance or to a function of the component's world. Only what componentize-py emits is understood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from toolchain.wasm.format import FormatError, Import, Module, Reader

COMPONENT = b"\0asm\x0d\0\1\0"

# section ids, and the sorts of an alias or export
_CORE_MODULE, _CORE_INSTANCE, _INSTANCE, _ALIAS, _CANON, _IMPORT, _EXPORT = 1, 2, 5, 6, 8, 10, 11
_CORE_SORT, _FUNC_SORT, _TYPE_SORT, _INSTANCE_SORT = 0, 1, 3, 5


@dataclass(frozen=True)
class Provider:
    """Who provides an import: an export of the core instance with this index, or, with none, a function of the host."""

    instance: int | None
    name: str


@dataclass
class Instance:
    """A core instance: its module's bytes and arguments (import module name → core instance), or, with no module, named exports."""

    module: bytes | None
    arguments: dict[str, int] = field(default_factory=dict)
    exports: dict[str, tuple[int, int]] = field(default_factory=dict)


Entry = tuple[str, int, str]
"""Where an entry of an index space comes from: how, an index, and a name; `how` says of what the index is."""


@dataclass(frozen=True)
class Component:
    """A component's core instances, and the resolution of their imports."""

    instances: list[Instance] = field(default_factory=list)
    """The core instances, in the order of their indices."""

    items: dict[int, list[Entry]] = field(default_factory=lambda: {sort: [] for sort in range(4)})
    """The index spaces of the core sorts: an alias, a function of the component that is lowered, or a resource's function."""

    functions: list[Entry] = field(default_factory=list)
    """The index space of the component's functions: an alias, an export, or a core function that is lifted."""

    component_instances: list[Entry] = field(default_factory=list)
    """The index space of instances that are no core instances: an import, an alias, an export, or one that is made here."""

    def provider(self, instance: int, imported: Import) -> Provider:
        """Returns who provides this import of this instance."""
        return self.export(self.instances[instance].arguments[imported.module], imported.name)

    def export(self, instance: int, name: str) -> Provider:
        """Returns who provides this export of this instance: the instance itself if it has a module, else what it names."""
        if self.instances[instance].module is not None:
            return Provider(instance, name)
        sort, index = self.instances[instance].exports[name]
        how, target, item = self.items[sort][index]
        if how == "alias":
            return self.export(target, item)
        if how == "resource":
            return Provider(None, "resource")
        how, target, item = self.functions[target]
        while how == "export":
            how, target, item = self.functions[target]
        how, _, interface = self.component_instances[target]
        return Provider(None, f"{interface}#{item}")


def read_component(data: bytes) -> Component:
    """Reads a component, or raises FormatError for what componentize-py does not emit."""
    if data[:8] != COMPONENT:
        raise FormatError("not a WebAssembly component")
    sections = _Sections()
    reader = Reader(data, 8)
    while reader.more():
        section, size = reader.u8(), reader.u32()
        if reader.position + size > len(data):
            raise FormatError(f"section {section} of the component is cut off")
        sections.read(section, Reader(data, reader.position, reader.position + size))
        reader.position += size
    return sections.component


class _Sections:
    """Reads sections, each of which adds to the component's index spaces."""

    def __init__(self) -> None:
        self.component = Component()
        self._modules: list[bytes] = []

    def read(self, section: int, body: Reader) -> None:
        """Reads a section's body."""
        if section == _CORE_MODULE:
            self._modules.append(body.take(body.end - body.position))
        elif section in self._READERS:
            for _ in body.repeat():
                self._READERS[section](self, body)

    def _core_instance(self, body: Reader) -> None:
        if body.u8() == 0:
            instance = Instance(self._modules[body.u32()])
            for _ in body.repeat():
                name, sort = body.name(), body.u8()
                if sort != 0x12:
                    raise FormatError(f"argument {name} is not an instance")
                instance.arguments[name] = body.u32()
        else:
            instance = Instance(None, exports={body.name(): (body.u8(), body.u32()) for _ in body.repeat()})
        self.component.instances.append(instance)

    def _alias(self, body: Reader) -> None:
        sort = body.u8()
        core_sort = body.u8() if sort == _CORE_SORT else None
        target = body.u8()
        if target == 2:  # outer
            body.u32(), body.u32()
            if sort != _TYPE_SORT:
                raise FormatError(f"an outer alias of sort {sort}")
            return
        alias = ("alias", body.u32(), body.name())
        if core_sort is not None and target == 1:
            self.component.items[core_sort].append(alias)
        elif sort == _FUNC_SORT:
            self.component.functions.append(alias)
        elif sort == _INSTANCE_SORT:
            self.component.component_instances.append(alias)

    def _canon(self, body: Reader) -> None:
        kind = body.u8()
        if kind in (0, 1):  # lift, lower
            body.u8()
            function = body.u32()
            for _ in body.repeat():
                if body.u8() > 2:  # options with an index
                    body.u32()
            if kind == 0:
                body.u32()
                self.component.functions.append(("lift", 0, ""))
            else:
                self.component.items[0].append(("lower", function, ""))
        elif kind in (2, 3, 4):
            self.component.items[0].append(("resource", body.u32(), ""))
        else:
            raise FormatError(f"canonical function of kind {kind}")

    def _import(self, body: Reader) -> None:
        body.u8()
        name, sort = body.name(), body.u8()
        if sort != _TYPE_SORT or body.u8() == 0:
            body.u32()
        if sort == _INSTANCE_SORT:
            self.component.component_instances.append(("import", 0, name))
        elif sort == _FUNC_SORT:
            raise FormatError(f"function {name} is imported without an interface")

    def _export(self, body: Reader) -> None:
        body.u8(), body.name()
        sort, index = body.u8(), body.u32()
        if body.u8() == 1:
            kind = body.u8()
            if kind != _TYPE_SORT or body.u8() == 0:
                body.u32()
        if sort == _FUNC_SORT:
            self.component.functions.append(("export", index, ""))
        elif sort == _INSTANCE_SORT:
            self.component.component_instances.append(("export", index, ""))

    def _instance(self, body: Reader) -> None:
        body.u8(), body.u32()
        for _ in body.repeat():
            body.name(), body.u8(), body.u32()
        self.component.component_instances.append(("instance", 0, ""))

    _READERS: ClassVar[dict[int, Callable[[_Sections, Reader], None]]] = {
        _CORE_INSTANCE: _core_instance,
        _INSTANCE: _instance,
        _ALIAS: _alias,
        _CANON: _canon,
        _IMPORT: _import,
        _EXPORT: _export,
    }


def split(data: bytes) -> tuple[Component, dict[int, Module]]:
    """Returns the component and the core modules of its instances by instance index."""
    component = read_component(data)
    return component, {i: Module(x.module) for i, x in enumerate(component.instances) if x.module is not None}
