import pytest

from proxy_wasm.testing.lifecycle import Vm

ANN, GOLD = b'{"user": "ann"}', b'{"plan": "gold"}'


def answer(vm: Vm, cluster: bytes, status: int, body: bytes = b"") -> None:
    [call] = [call for call, made in vm.host.http_calls.items() if made.cluster == cluster]
    vm.http_call_response(call, [(b":status", b"%d" % status)], body)


def test_the_server_is_told_user_and_plan(vm: Vm) -> None:
    exchange = vm.exchange()
    exchange.request({"authorization": "Bearer ann"}, body="hello")
    answer(vm, b"sessions", 200, ANN)
    assert exchange.upstream.headers is None
    answer(vm, b"accounts", 200, GOLD)
    assert (exchange.upstream.header("x-user"), exchange.upstream.header("x-plan")) == (b"ann", b"gold")
    assert exchange.upstream.body == b"hello"


@pytest.mark.parametrize(
    ("session", "account", "status"), [((401, b""), None, 401), ((200, ANN), (404, b""), 403), ((200, b"?"), None, 500)]
)
def test_refusals(vm: Vm, session: tuple[int, bytes], account: tuple[int, bytes] | None, status: int) -> None:
    exchange = vm.exchange()
    exchange.request()
    answer(vm, b"sessions", *session)
    if account is not None:
        answer(vm, b"accounts", *account)
    assert exchange.downstream.status == status
    assert exchange.upstream.headers is None
    assert len(vm.take_failures()) == (status == 500)
