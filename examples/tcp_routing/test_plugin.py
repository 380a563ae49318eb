from proxy_wasm.testing.lifecycle import Vm


def test_the_last_octet_decides(vm: Vm) -> None:
    for source, cluster in (("10.0.0.1:4711", "odd"), ("10.0.0.2:4711", "even"), ("[2001:db8::3]:1", "odd")):
        connection = vm.connection(source=source)
        connection.new_connection()
        assert connection.cluster == cluster
