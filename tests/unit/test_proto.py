"""The generated encoders write what protobuf's own runtime writes, byte for byte."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PATH = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-S", "-B", "-m", *command)
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": PATH}, capture_output=True, text=True)


def load(path: Path) -> ModuleType:
    name = ".".join(path.with_suffix("").parts[-3:])
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Generated:
    """A .proto file's two modules: the official one and ours."""

    def __init__(self, proto: str, directory: Path) -> None:
        for command in (
            ("grpc_tools.protoc", "--proto_path=.", f"--python_out={directory}", proto),
            ("proto.protoc", str(directory), proto),
        ):
            done = run(*command)
            assert (done.returncode, done.stderr) == (0, "")
        stem = directory / proto.removesuffix(".proto")
        self.source = stem.with_name(stem.name + "_pb.py").read_bytes()
        self.official = load(stem.with_name(stem.name + "_pb2.py"))
        self.ours = load(stem.with_name(stem.name + "_pb.py"))


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return Generated("tests/unit/every_kind.proto", tmp_path_factory.mktemp("every_kind"))


@pytest.fixture(scope="module")
def set_envoy_filter_state(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return Generated("proto/set_envoy_filter_state.proto", tmp_path_factory.mktemp("set_envoy_filter_state"))


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return st.integers(low, high) | st.sampled_from([low, high, 0, 127, 128])


KINDS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_FLOAT: st.floats(),
    FieldDescriptor.TYPE_INT32: integers(32, signed=True),
    FieldDescriptor.TYPE_INT64: integers(64, signed=True),
    FieldDescriptor.TYPE_UINT32: integers(32, signed=False),
    FieldDescriptor.TYPE_UINT64: integers(64, signed=False),
    FieldDescriptor.TYPE_SINT32: integers(32, signed=True),
    FieldDescriptor.TYPE_SINT64: integers(64, signed=True),
    FieldDescriptor.TYPE_FIXED32: integers(32, signed=False),
    FieldDescriptor.TYPE_FIXED64: integers(64, signed=False),
    FieldDescriptor.TYPE_SFIXED32: integers(32, signed=True),
    FieldDescriptor.TYPE_SFIXED64: integers(64, signed=True),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_STRING: st.text(st.characters(exclude_categories=["Cs"])),
    FieldDescriptor.TYPE_BYTES: st.binary() | st.just(bytes(200)),
    # Open in proto3: any number will do.
    FieldDescriptor.TYPE_ENUM: st.integers(-6, 3) | integers(32, signed=True),
}


def values(descriptor: Any, depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    """Returns the field values of random messages, nested ones as dicts."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for field in descriptor.fields:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if depth == 0:
                continue
            value: st.SearchStrategy[Any] = values(field.message_type, depth - 1)
        else:
            value = KINDS[field.type]
        fields[field.name] = st.lists(value, max_size=4) if field.is_repeated else value
    return st.fixed_dictionaries({}, optional=fields)


def build(module: ModuleType, descriptor: Any, fields: dict[str, Any], scope: str) -> Any:
    """Makes our message of the field values that also make the official one."""

    def convert(field: Any, value: Any) -> Any:
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            return value
        if field.is_repeated:
            return [build(module, field.message_type, each, scope) for each in value]
        return build(module, field.message_type, value, scope)

    cls: Any = module
    for part in descriptor.full_name.removeprefix(scope + ".").split("."):
        cls = getattr(cls, part)
    return cls(**{name: convert(descriptor.fields_by_name[name], value) for name, value in fields.items()})


def assert_same(generated: Generated, message_name: str, data: st.DataObject) -> None:
    message = getattr(generated.official, message_name)
    descriptor = message.DESCRIPTOR
    fields = data.draw(values(descriptor))
    ours = build(generated.ours, descriptor, fields, descriptor.file.package)
    assert ours.SerializeToString() == message(**fields).SerializeToString()


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(data=st.data())
def test_every_kind(every_kind: Generated, data: st.DataObject) -> None:
    assert_same(every_kind, "EveryKind", data)


@given(data=st.data())
def test_set_envoy_filter_state(set_envoy_filter_state: Generated, data: st.DataObject) -> None:
    assert_same(set_envoy_filter_state, "SetEnvoyFilterStateArguments", data)


def test_defaults_are_left_out_and_no_kind_is_untested(every_kind: Generated) -> None:
    assert every_kind.ours.EveryKind().SerializeToString() == b""
    tested = {field.type for field in every_kind.official.EveryKind.DESCRIPTOR.fields}
    assert tested == KINDS.keys() | {FieldDescriptor.TYPE_MESSAGE}


def test_an_empty_message_is_not_none(every_kind: Generated) -> None:
    message = every_kind.ours.EveryKind
    assert message(nothing=message.Nothing()).SerializeToString() == b"\xa2\x01\x00"


def test_enums(every_kind: Generated) -> None:
    color = every_kind.ours.Color
    assert (color.NONE, color.RED, color.ROUGE, color.NEGATIVE) == (0, 1, 1, -5)
    assert every_kind.ours.EveryKind.Mode.ON == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("an_int32", 1 << 31),
        ("an_int64", -(1 << 63) - 1),
        ("a_uint32", -1),
        ("a_uint64", 1 << 64),
        ("a_sint32", -(1 << 31) - 1),
        ("a_fixed64", -1),
        ("a_sfixed32", 1 << 31),
        ("color", 1 << 31),
        ("a_string", "\ud800"),
    ],
)
def test_a_value_that_does_not_fit(every_kind: Generated, field: str, value: object) -> None:
    with pytest.raises(ValueError):
        every_kind.official.EveryKind(**{field: value})
    with pytest.raises(ValueError):
        every_kind.ours.EveryKind(**{field: value}).SerializeToString()


@pytest.mark.parametrize(("field", "value"), [("a_string", b"x"), ("some_bytes", "x"), ("an_int32", 0.5)])
def test_a_value_of_another_kind(every_kind: Generated, field: str, value: object) -> None:
    with pytest.raises((TypeError, AttributeError)):
        every_kind.ours.EveryKind(**{field: value}).SerializeToString()


def test_fields_are_named_and_known(every_kind: Generated) -> None:
    with pytest.raises(TypeError):
        every_kind.ours.EveryKind(1.0)
    with pytest.raises(AttributeError):
        every_kind.ours.EveryKind().misspelt = 1


def test_the_same_bytes_each_time(every_kind: Generated, tmp_path: Path) -> None:
    assert Generated("tests/unit/every_kind.proto", tmp_path).source == every_kind.source


def test_what_is_generated_is_typed(every_kind: Generated, tmp_path: Path) -> None:
    path = tmp_path / "every_kind_pb.py"
    path.write_bytes(every_kind.source)
    done = run("mypy", f"--cache-dir={tmp_path}/cache", "--config-file=pyproject.toml", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
