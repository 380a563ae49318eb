"""The same filter in this process, in the built module, and in a real Envoy."""

from proxy_wasm.testing.envoy import RunningEnvoy
from proxy_wasm.testing.lifecycle import Vm


def test_a_request_and_its_response_are_marked(vm: Vm) -> None:
    """`vm` runs the filter in this process, so that a debugger stops in it. `pytest --wasm` takes the built module."""
    exchange = vm.exchange()
    exchange.request({"x-user": "ann"})
    assert exchange.upstream.header("x-seen-by") == b"NEW-NAME"
    exchange.respond(200, {"content-type": "text/plain"}, "some text")
    assert exchange.downstream.header("x-filtered-by") == b"NEW-NAME"
    assert vm.host.lines() == ["hello, ann"]


def test_a_blocked_user_is_refused(vm: Vm) -> None:
    """The configuration is the file that pyproject.toml names."""
    exchange = vm.exchange()
    exchange.request({"x-user": "mallory"})
    assert exchange.upstream.headers is None
    assert exchange.downstream.status == 403


def test_the_built_module_does_the_same(wasm_vm: Vm) -> None:
    """`wasm_vm` runs what `proxy-wasm build` makes."""
    exchange = wasm_vm.exchange()
    exchange.request({"x-user": "ann"})
    assert exchange.upstream.header("x-seen-by") == b"NEW-NAME"


def test_envoy_answers(envoy: RunningEnvoy) -> None:
    """`envoy` is a real Envoy with envoy.yaml and the built module."""
    assert envoy.get("/", headers={"x-user": "ann"}) == "a server behind Envoy\n"
    assert envoy.logged("hello, ann")
    assert envoy.get("/", headers={"x-user": "mallory"}) == "not you\n"
