"""The same filter in this process, in the built module, and in a real Envoy."""

import pytest

from proxy_wasm import Action
from proxy_wasm.testing.envoy import RunningEnvoy
from proxy_wasm.testing.lifecycle import Vm


def test_a_client_is_greeted(vm: Vm) -> None:
    """`vm` runs the filter in this process, so that a debugger stops in it. `pytest --wasm` takes the built module."""
    connection = vm.connection(source="10.0.0.1:4711")
    assert connection.new_connection() == Action.CONTINUE
    assert vm.host.lines() == ["hello, 10.0.0.1:4711"]


def test_a_blocked_source_is_turned_away(vm: Vm) -> None:
    """The configuration is the file that pyproject.toml names."""
    connection = vm.connection(source="127.0.0.9:4711")
    connection.new_connection()
    assert connection.context.closed


def test_the_built_module_does_the_same(wasm_vm: Vm) -> None:
    """`wasm_vm` runs what `proxy-wasm build` makes."""
    connection = wasm_vm.connection(source="10.0.0.1:4711")
    assert connection.new_connection() == Action.CONTINUE
    assert wasm_vm.host.lines() == ["hello, 10.0.0.1:4711"]


def test_envoy_answers(envoy: RunningEnvoy) -> None:
    """`envoy` is a real Envoy with envoy.yaml and the built module."""
    assert envoy.get("/") == "a server behind Envoy\n"
    assert envoy.logged("hello, 127.0.0.1:")
    with pytest.raises(ConnectionError):
        envoy.get("/", source="127.0.0.9")
