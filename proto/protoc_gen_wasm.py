"""A plugin of protoc: a small class for each message of a proto3 file, which encodes it without protobuf's runtime.

protoc writes a CodeGeneratorRequest to stdin and reads a CodeGeneratorResponse from stdout. `path/name.proto` becomes
`path/name_pb.py`, which imports `proto._wire` and nothing else at run time. What a generated class cannot say (maps,
oneof and the like) is refused, never left out: the response then holds one line that names file, message and field.
"""

from __future__ import annotations

import keyword
import sys
from collections.abc import Iterable, Iterator

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from proto import _wire

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

# How a kind of field is encoded: the function of _wire, the wire type, the type in Python, its default.
SCALARS = {
    FieldDescriptorProto.TYPE_DOUBLE: ("encode_double", FIXED64, "float", "0.0"),
    FieldDescriptorProto.TYPE_FLOAT: ("encode_float", FIXED32, "float", "0.0"),
    FieldDescriptorProto.TYPE_INT64: ("encode_int64", VARINT, "int", "0"),
    FieldDescriptorProto.TYPE_UINT64: ("encode_uint64", VARINT, "int", "0"),
    FieldDescriptorProto.TYPE_INT32: ("encode_int32", VARINT, "int", "0"),
    FieldDescriptorProto.TYPE_FIXED64: ("encode_fixed64", FIXED64, "int", "0"),
    FieldDescriptorProto.TYPE_FIXED32: ("encode_fixed32", FIXED32, "int", "0"),
    FieldDescriptorProto.TYPE_BOOL: ("encode_bool", VARINT, "bool", "False"),
    FieldDescriptorProto.TYPE_STRING: ("encode_string", LENGTH, "str", '""'),
    FieldDescriptorProto.TYPE_BYTES: ("encode_bytes", LENGTH, "bytes", 'b""'),
    FieldDescriptorProto.TYPE_UINT32: ("encode_uint32", VARINT, "int", "0"),
    FieldDescriptorProto.TYPE_SFIXED32: ("encode_sfixed32", FIXED32, "int", "0"),
    FieldDescriptorProto.TYPE_SFIXED64: ("encode_sfixed64", FIXED64, "int", "0"),
    FieldDescriptorProto.TYPE_SINT32: ("encode_sint32", VARINT, "int", "0"),
    FieldDescriptorProto.TYPE_SINT64: ("encode_sint64", VARINT, "int", "0"),
}

# Names that a generated file uses itself.
RESERVED_TYPES = {"IntEnum", "Sequence", "annotations", "bool", "bytes", "float", "int", "property", "str"}
RESERVED_FIELDS = {"SerializeToString", "self"}
RESERVED_VALUES = {"mro", "name", "value"}


class UnsupportedError(Exception):
    """A file says what a generated encoder cannot."""


def generate(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """Returns the encoders for the files that the request wants, or an error and no file."""
    # Announced so that protoc leaves it to this plugin to refuse them, by name.
    response = CodeGeneratorResponse(supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL)
    try:
        types = dict(entry for file in request.proto_file for entry in _types(file))
        wanted = set(request.file_to_generate)
        for file in request.proto_file:
            if file.name in wanted:
                content = "\n".join(_File(file, types).lines()) + "\n"
                response.file.add(name=_module(file.name).replace(".", "/") + ".py", content=content)
    except UnsupportedError as error:
        del response.file[:]
        response.error = str(error)
    return response


def _module(file_name: str) -> str:
    parts = file_name.removesuffix(".proto").split("/")
    for part in parts:
        if not part.isidentifier() or keyword.iskeyword(part):
            raise UnsupportedError(f"{file_name}: {part!r} cannot be part of a Python module's name")
    return ".".join(parts) + "_pb"


def _types(file: FileDescriptorProto) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yields each message's and enum's full name, with its file and its name within the module."""

    def walk(
        scope: str, messages: Iterable[DescriptorProto], enums: Iterable[EnumDescriptorProto]
    ) -> Iterator[tuple[str, tuple[str, str]]]:
        for enum in enums:
            yield f"{package}.{scope}{enum.name}", (file.name, scope + enum.name)
        for message in messages:
            yield f"{package}.{scope}{message.name}", (file.name, scope + message.name)
            yield from walk(f"{scope}{message.name}.", message.nested_type, message.enum_type)

    package = f".{file.package}" if file.package else ""
    return walk("", file.message_type, file.enum_type)


def _check_name(where: str, name: str, reserved: set[str]) -> None:
    if keyword.iskeyword(name) or name.startswith("_") or name in reserved:
        raise UnsupportedError(f"{where}: the name {name!r} has another meaning in Python")


class _File:
    """One generated file."""

    def __init__(self, file: FileDescriptorProto, types: dict[str, tuple[str, str]]) -> None:
        self.file = file
        self.types = types
        self.imports: set[str] = set()
        self.uses: set[str] = set()

    def lines(self) -> Iterator[str]:
        file = self.file
        if file.syntax != "proto3":
            raise UnsupportedError(f"{file.name}: {file.syntax or 'proto2'} is not supported, only proto3")
        if file.service:
            raise UnsupportedError(f"{file.name}: {file.service[0].name}: services are not supported")
        self.check_extensions(file.name, file.extension)
        body = [*self.types_lines("", file.message_type, file.enum_type)]
        yield f'"""Encoders for the messages of {file.name}."""'
        yield ""
        yield f"# Generated from {file.name} by proto/protoc_gen_wasm.py: do not edit."
        yield "# ruff: noqa"
        yield "# fmt: off"
        yield ""
        yield "from __future__ import annotations"
        if "IntEnum" in self.uses:
            yield from ("", "from enum import IntEnum")
        if "_wire" in self.uses:
            yield from ("", "from proto import _wire")
        if "Sequence" in self.uses or self.imports:
            yield from ("", "TYPE_CHECKING = False", "if TYPE_CHECKING:")
            if "Sequence" in self.uses:
                yield "    from collections.abc import Sequence"
            if "Sequence" in self.uses and self.imports:
                yield ""
            yield from (f"    import {module}" for module in sorted(self.imports))
        yield from body

    def types_lines(
        self, scope: str, messages: Iterable[DescriptorProto], enums: Iterable[EnumDescriptorProto]
    ) -> Iterator[str]:
        separator = [""] if scope else ["", ""]
        for enum in enums:
            yield from separator
            yield from self.enum_lines(scope, enum)
        for message in messages:
            yield from separator
            yield from self.message_lines(scope, message)

    def enum_lines(self, scope: str, enum: EnumDescriptorProto) -> Iterator[str]:
        where = f"{self.file.name}: {scope}{enum.name}"
        _check_name(where, enum.name, RESERVED_TYPES)
        self.uses.add("IntEnum")
        yield f"class {enum.name}(IntEnum):"
        yield f'    """The enum {self.full_name(scope + enum.name)}."""'
        yield ""
        for value in enum.value:
            _check_name(f"{where}.{value.name}", value.name, RESERVED_VALUES)
            yield f"    {value.name} = {value.number}"

    def message_lines(self, scope: str, message: DescriptorProto) -> Iterator[str]:
        name = scope + message.name
        _check_name(f"{self.file.name}: {name}", message.name, RESERVED_TYPES)
        self.check_extensions(f"{self.file.name}: {name}", message.extension)
        fields = [_Field(self, name, message, field) for field in message.field]
        yield f"class {message.name}:"
        yield f'    """The message {self.full_name(name)}."""'
        for line in self.types_lines(name + ".", message.nested_type, message.enum_type):
            yield line and "    " + line
        yield ""
        if not fields:
            yield "    __slots__ = ()"
        else:
            yield "    __slots__ = ("
            yield from (f'        "{field.name}",' for field in fields)
            yield "    )"
            yield ""
            yield "    def __init__("
            yield "        self,"
            yield "        *,"
            yield from (f"        {field.name}: {field.annotation} = {field.default}," for field in fields)
            yield "    ) -> None:"
            yield from (f"        self.{field.name} = {field.name}" for field in fields)
        yield ""
        yield "    def SerializeToString(self) -> bytes:"
        yield '        """Returns the message as protobuf writes it."""'
        if not fields:
            yield '        return b""'
            return
        self.uses.add("_wire")
        yield '        return b"".join('
        yield "            ["
        yield from (f"                {field.call}," for field in sorted(fields, key=lambda field: field.number))
        yield "            ]"
        yield "        )"

    def check_extensions(self, where: str, extensions: Iterable[FieldDescriptorProto]) -> None:
        for extension in extensions:
            raise UnsupportedError(f"{where}: {extension.name}: extensions are not supported")

    def full_name(self, name: str) -> str:
        return f"{self.file.package}.{name}" if self.file.package else name

    def type_name(self, full_name: str) -> str:
        """Returns the Python name of a message or an enum, which then is known in the generated file."""
        path, name = self.types[full_name]
        if path == self.file.name:
            return name
        # Only annotations need it, so it is not imported at run time.
        module = _module(path)
        self.imports.add(module)
        return f"{module}.{name}"


class _Field:
    """One field of a generated class."""

    def __init__(self, file: _File, message_name: str, message: DescriptorProto, field: FieldDescriptorProto) -> None:
        where = f"{file.file.name}: {message_name}.{field.name}"
        _check_name(where, field.name, RESERVED_FIELDS)
        self.name = field.name
        self.number = field.number
        repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
        how = "singular"
        if field.proto3_optional:
            raise UnsupportedError(f"{where}: optional is not supported")
        if field.HasField("oneof_index"):
            raise UnsupportedError(f"{where}: oneof is not supported")
        if field.type == FieldDescriptorProto.TYPE_MESSAGE:
            if any(
                nested.options.map_entry and field.type_name.endswith(f".{message_name}.{nested.name}")
                for nested in message.nested_type
            ):
                raise UnsupportedError(f"{where}: maps are not supported")
            encode, wire_type, annotation = "encode_message", LENGTH, file.type_name(field.type_name)
            how, self.annotation, self.default = "optional", f"{annotation} | None", "None"
        elif field.type == FieldDescriptorProto.TYPE_ENUM:
            # Enums are open in proto3: a number without a name is as good.
            encode, wire_type, annotation = "encode_int32", VARINT, f"{file.type_name(field.type_name)} | int"
            self.annotation, self.default = annotation, "0"
        elif field.type in SCALARS:
            encode, wire_type, annotation, self.default = SCALARS[field.type]
            self.annotation = annotation
        else:
            raise UnsupportedError(f"{where}: groups are not supported")
        if repeated:
            file.uses.add("Sequence")
            self.annotation, self.default = f"Sequence[{annotation}]", "()"
            how = "repeated"
            if wire_type != LENGTH and (field.options.packed or not field.options.HasField("packed")):
                how, wire_type = "packed", LENGTH
        key = "".join(f"\\x{byte:02x}" for byte in _wire.encode_varint(field.number << 3 | wire_type))
        self.call = f'_wire.{how}(b"{key}", _wire.{encode}, self.{field.name})'


def main() -> None:
    """Answers the request on stdin."""
    request = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(generate(request).SerializeToString())


if __name__ == "__main__":
    main()
