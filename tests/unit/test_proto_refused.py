"""What the generated encoders cannot say is refused, in one line that names the place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PATH = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)


def protoc(directory: Path, *files: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", "-B", "-m", "proto.protoc", ".", *files],
        env={**os.environ, "PYTHONPATH": PATH},
        cwd=directory,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("message M { map<string, int32> f = 1; }", "a.proto: M.f: maps are not supported"),
        ("message M { message N { map<string, M> f = 1; } }", "a.proto: M.N.f: maps are not supported"),
        ("message M { oneof which { int32 f = 1; string g = 2; } }", "a.proto: M.f: oneof is not supported"),
        ("message M { optional int32 f = 1; }", "a.proto: M.f: optional is not supported"),
        (
            'import "google/protobuf/descriptor.proto";\nextend google.protobuf.FieldOptions { string f = 50000; }',
            "a.proto: f: extensions are not supported",
        ),
        ("message M {} service S { rpc R (M) returns (M); }", "a.proto: S: services are not supported"),
        ("message M { int32 lambda = 1; }", "a.proto: M.lambda: the name 'lambda' has another meaning in Python"),
        ("message M { int32 self = 1; }", "a.proto: M.self: the name 'self' has another meaning in Python"),
        ("message str {}", "a.proto: str: the name 'str' has another meaning in Python"),
        ("enum E { None = 0; }", "a.proto: E.None: the name 'None' has another meaning in Python"),
    ],
)
def test_refused(tmp_path: Path, content: str, error: str) -> None:
    (tmp_path / "a.proto").write_text(f'syntax = "proto3";\npackage p;\n{content}\n')
    done = protoc(tmp_path, "a.proto")
    assert done.returncode == 1
    assert done.stderr == f"--wasm_out: {error}\n"
    assert not list(tmp_path.glob("*.py"))


def test_proto2(tmp_path: Path) -> None:
    (tmp_path / "a.proto").write_text('syntax = "proto2";\nmessage M { optional group G = 1 {} }\n')
    done = protoc(tmp_path, "a.proto")
    assert done.returncode == 1
    assert done.stderr == "--wasm_out: a.proto: proto2 is not supported, only proto3\n"


def test_editions_are_refused_by_protoc(tmp_path: Path) -> None:
    (tmp_path / "a.proto").write_text('edition = "2023";\nmessage M { int32 f = 1; }\n')
    done = protoc(tmp_path, "a.proto")
    assert done.returncode == 1
    assert "hasn't been updated to support editions" in done.stderr


def test_a_name_that_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "a-b.proto").write_text('syntax = "proto3";\n')
    done = protoc(tmp_path, "a-b.proto")
    assert done.returncode == 1
    assert done.stderr == "--wasm_out: a-b.proto: 'a-b' cannot be part of a Python module's name\n"


def test_protocs_own_errors(tmp_path: Path) -> None:
    (tmp_path / "a.proto").write_text('syntax = "proto3";\nmessage M { Unknown f = 1; }\n')
    done = protoc(tmp_path, "a.proto")
    assert done.returncode == 1
    assert done.stderr == 'a.proto:2:13: "Unknown" is not defined.\n'


def test_a_message_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "inner.proto").write_text('syntax = "proto3";\nmessage Inner { string text = 1; }\n')
    (tmp_path / "outer.proto").write_text('syntax = "proto3";\nimport "inner.proto";\nmessage Outer { Inner f = 1; }\n')
    done = protoc(tmp_path, "outer.proto", "inner.proto")
    assert (done.returncode, done.stderr) == (0, "")
    program = """
import inner_pb, outer_pb
assert outer_pb.Outer(f=inner_pb.Inner(text="x")).SerializeToString() == bytes([10, 3, 10, 1, 120])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([PATH, str(tmp_path)])}
    subprocess.run([sys.executable, "-S", "-B", "-c", program], env=environment, check=True)
