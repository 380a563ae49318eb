import base64
import hashlib
import hmac
import json

import pytest

from proxy_wasm.testing.lifecycle import Vm

FUTURE = 4_000_000_000


def token(key: bytes = b"an example's key", algorithm: str = "HS256", expires: float = FUTURE) -> str:
    parts = {"alg": algorithm}, {"sub": "alice", "exp": expires}
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    signature = hmac.digest(key, b".".join(texts), hashlib.sha256)
    return b".".join([*texts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@pytest.mark.parametrize(
    ("authorization", "refusal"),
    [
        (f"Bearer {token()}", b""),
        ("", b"there is no token\n"),
        ("Bearer no.token", b"the token cannot be read\n"),
        (f"Bearer {token(key=b'another key')}", b"the signature is wrong\n"),
        (f"Bearer {token(algorithm='none')}", b"the token is not signed with HS256\n"),
        (f"Bearer {token(expires=1)}", b"the token is expired\n"),
    ],
)
def test_tokens(vm: Vm, authorization: str, refusal: bytes) -> None:
    exchange = vm.exchange()
    exchange.request({"authorization": authorization, "x-user": "root"})
    assert exchange.downstream.body == refusal
    assert exchange.upstream.header("x-user") == (None if refusal else b"alice")
