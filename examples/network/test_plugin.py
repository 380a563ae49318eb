from examples.network.plugin import REGION, UPSTREAM_ADDRESS, Network
from proxy_wasm.testing.inprocess import InProcess


def test_a_connection_is_logged_and_counted() -> None:
    with InProcess(Network) as vm:
        assert vm.start()
        connection = vm.connection({UPSTREAM_ADDRESS: b"10.0.0.1:80", REGION: b"ap-northeast-1"})
        connection.new_connection()
        connection.downstream_data(b"ping")
        connection.upstream_data(b"pong")
        connection.close()
        assert "downstream data: b'ping'" in vm.host.lines()
        assert "from 10.0.0.1:80 in region ap-northeast-1" in vm.host.lines()
        assert vm.host.lines()[-1] == "connection complete!"
        assert [metric.value for metric in vm.host.metrics.values()] == [1]
