from proxy_wasm.testing.lifecycle import Vm

METADATA = b"\0".join((b"metadata", b"filter_metadata", b"envoy.filters.http.lua", b"uppercased-custom-metadata"))


def test_metadata_is_answered_with(vm: Vm) -> None:
    exchange = vm.exchange({METADATA: b"HELLO"})
    exchange.request()
    assert exchange.downstream.body == b"Custom response with Envoy metadata: HELLO\n"


def test_without_metadata_a_request_goes_on(vm: Vm) -> None:
    exchange = vm.exchange()
    exchange.request()
    assert exchange.upstream.headers is not None
