from examples.tcp_routing.plugin import Routing
from proxy_wasm.testing.inprocess import InProcess


def test_the_last_octet_decides() -> None:
    with InProcess(Routing) as vm:
        vm.host.foreign_functions[b"set_envoy_filter_state"] = lambda argument: b""
        assert vm.start()
        for source, cluster in (("10.0.0.1:4711", b"odd"), ("10.0.0.2:4711", b"even"), ("[2001:db8::3]:1", b"odd")):
            vm.connection(source=source).new_connection()
            assert cluster in vm.host.foreign_calls[-1][2]
