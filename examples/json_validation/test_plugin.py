import pytest

from proxy_wasm.testing.lifecycle import Vm


@pytest.mark.parametrize(
    ("content_type", "body", "refusal"),
    [
        ("application/json", '{"id": "abc123", "token": "xyz456"}', b""),
        ("application/json", '{"id": "abc123"}', b"invalid payload: missing: token\n"),
        ("application/json", "[]", b"invalid payload: it is no object\n"),
        ("application/json", "", b"invalid payload: Expecting value: line 1 column 1 (char 0)\n"),
        ("text/plain", "{}", b"content-type must be provided\n"),
    ],
)
def test_payloads(vm: Vm, content_type: str, body: str, refusal: bytes) -> None:
    exchange = vm.exchange()
    exchange.request({"content-type": content_type}, body)
    assert exchange.downstream.body == refusal
    assert exchange.upstream.ended == (not refusal)
