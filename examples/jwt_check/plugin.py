"""Lets a request go on if it brings a JSON Web Token that is signed with our key (HS256) and not expired."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import proxy_wasm
from proxy_wasm import Action, HttpContext


class TokenError(Exception):
    """What is wrong with a token."""


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def check(token: str, key: bytes, now: float) -> dict[str, Any]:
    """Returns the claims of a token; raises TokenError."""
    signed, _, signature = token.rpartition(".")
    try:
        header, payload = (json.loads(decode(part)) for part in signed.split("."))
        algorithm, expires, given = header["alg"], float(payload["exp"]), decode(signature)
    except (ValueError, TypeError, KeyError):
        raise TokenError("the token cannot be read") from None
    if algorithm != "HS256":
        raise TokenError("the token is not signed with HS256")
    if not hmac.compare_digest(given, hmac.digest(key, signed.encode(), hashlib.sha256)):
        raise TokenError("the signature is wrong")
    if expires <= now:
        raise TokenError("the token is expired")
    claims: dict[str, Any] = payload
    return claims


class Request(HttpContext):
    root: "Plugin"

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        authorization = self.request_headers.get("authorization") or b""
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise TokenError("there is no token")
            claims = check(token, self.root.key, time.time())
        except TokenError as error:
            return self.send_response(401, {"www-authenticate": "Bearer"}, f"{error}\n")
        # What the client wrote there itself is replaced.
        self.request_headers["x-user"] = str(claims.get("sub", ""))
        return None


class Plugin(proxy_wasm.RootContext):
    http_context = Request
    failure_policy = proxy_wasm.FailurePolicy.CLOSE

    def on_configure(self, configuration: bytes) -> bool:
        self.key: bytes = json.loads(configuration)["key"].encode()
        return True


proxy_wasm.register(Plugin)
