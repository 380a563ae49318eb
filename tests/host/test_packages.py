"""A package that a filter's BUILD target names is in the module."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.struct_pb2 import Struct

from proxy_wasm.testing.wasm import WasmModule


def test_protobufs_runtime_works_in_the_guest() -> None:
    vm = WasmModule(Path("tests/host/guests/packages.wasm"))
    configuration = Struct()
    configuration["answer"] = 42
    assert vm.start(configuration=configuration.SerializeToString())
    assert vm.host.lines()[-1] == f"answer 42.0, {len(configuration.SerializeToString())} bytes"
