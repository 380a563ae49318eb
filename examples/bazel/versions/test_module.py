"""The built module on wasmtime."""

from proxy_wasm.testing.wasm import WasmModule


def test_old_clients_are_turned_away() -> None:
    vm = WasmModule("versions/versions.wasm")
    assert vm.start(configuration=b'{"minimum": "2.1"}')
    for version, passes in (("2.1", True), ("2.10rc1", True), ("2.0.9", False), ("new", False)):
        exchange = vm.exchange()
        exchange.request({"x-client-version": version})
        assert (exchange.upstream.headers is not None) == passes, version
