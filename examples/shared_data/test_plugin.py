from plugin import KEY, Plugin
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.records import HostStatus


def test_each_request_counts(vm: Vm) -> None:
    for _ in range(3):
        vm.exchange().request()
    assert vm.host.lines() == ["shared value: 1", "shared value: 2", "shared value: 3"]


class BusyHost(Host):
    """Another worker writes first, once."""

    busy = True

    def proxy_set_shared_data(self, key: bytes, value: bytes, cas: int) -> None:
        if cas and self.busy:
            self.busy = False
            super().proxy_set_shared_data(key, b"41", 0)
            raise HostStatus("CAS_MISMATCH")
        super().proxy_set_shared_data(key, value, cas)


def test_no_request_of_another_worker_is_lost() -> None:
    with InProcess(Plugin, BusyHost()) as vm:
        assert vm.start()
        vm.exchange().request()
        assert vm.host.shared_data[KEY.encode()][0] == b"42"
