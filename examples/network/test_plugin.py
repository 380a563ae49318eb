from proxy_wasm.testing.lifecycle import Vm

REGION = b"\0".join((b"xds", b"cluster_metadata", b"filter_metadata", b"location", b"region"))


def test_a_connection_is_logged_and_counted(vm: Vm) -> None:
    connection = vm.connection({b"upstream\0address": b"10.0.0.1:80", REGION: b"ap-northeast-1"})
    connection.new_connection()
    connection.downstream_data(b"ping")
    connection.upstream_data(b"pong")
    connection.close()
    assert "downstream data: b'ping'" in vm.host.lines()
    assert "from 10.0.0.1:80 in region ap-northeast-1" in vm.host.lines()
    assert vm.host.lines()[-1] == "connection complete!"
    assert [metric.value for metric in vm.host.metrics.values()] == [1]
