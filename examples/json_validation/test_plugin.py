import pytest

from examples.json_validation.plugin import Plugin
from proxy_wasm.testing.inprocess import InProcess

CONFIGURATION = b'{"requiredKeys": ["id", "token"]}'


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
def test_payloads(content_type: str, body: str, refusal: bytes) -> None:
    with InProcess(Plugin) as vm:
        assert vm.start(configuration=CONFIGURATION)
        exchange = vm.exchange()
        exchange.request({"content-type": content_type}, body)
        assert exchange.downstream.body == refusal
        assert exchange.upstream.ended == (not refusal)
