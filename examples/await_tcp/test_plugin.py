import pytest

from proxy_wasm.testing.lifecycle import Vm


@pytest.mark.parametrize(("blocklist", "quota", "goes_on"), [(200, 200, True), (403, 200, False), (200, 429, False)])
def test_both_services_must_agree(vm: Vm, blocklist: int, quota: int, goes_on: bool) -> None:
    connection = vm.connection(source="10.0.0.1:4711")
    connection.new_connection()
    statuses = {b"blocklist": blocklist, b"quota": quota}
    for call, made in list(vm.host.http_calls.items()):
        assert not connection.goes_on and not connection.context.closed
        vm.http_call_response(call, [(b":status", b"%d" % statuses[made.cluster])])
    assert connection.goes_on == goes_on
    assert bool(connection.context.closed) != goes_on
    connection.close()
