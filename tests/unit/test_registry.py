"""What is said to a registry, to one that wants a token too; a real one is in tests/oci."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from oci import image
from oci.registry import Reference, RegistryError, push, saved_credentials

MODULE = b"\0asm\1\0\0\0"
CREDENTIALS = ("author", "secret: and more")


class Handler(BaseHTTPRequestHandler):
    """As much of a registry as a push needs; uploads go to a path with a query, as many registries have it."""

    server: TokenRegistry

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _token(self) -> None:
        expected = "Basic " + base64.b64encode(":".join(CREDENTIALS).encode()).decode()
        if self.headers["Authorization"] != expected:
            return self._answer(401, b'{"errors": [{"code": "DENIED", "message": "who are you?"}]}')
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        assert query == {"service": ["here"], "scope": ["repository:a/b:pull,push"]}
        self._answer(200, b'{"token": "let-me-in"}')

    def handle_one(self) -> None:
        """Answers any request."""
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        split = urllib.parse.urlsplit(self.path)
        self.server.asked.append((self.command, split.path))
        if split.path == "/token":
            return self._token()
        if self.headers["Authorization"] != "Bearer let-me-in":
            realm = f"http://{self.headers['Host']}/token"
            challenge = f'Bearer realm="{realm}",service="here",scope="repository:a/b:pull,push"'
            return self._answer(401, b"", WWW_Authenticate=challenge)
        name = split.path.rpartition("/")[2]
        if self.command == "HEAD":
            return self._answer(200 if name in self.server.kept else 404)
        if self.command == "POST":
            return self._answer(202, Location="/upload/1?state=x%2Fy")
        if split.path == "/upload/1":
            query = urllib.parse.parse_qs(split.query)
            assert query["state"] == ["x/y"]
            (name,) = query["digest"]
        if self.server.full:
            return self._answer(507, b"no room")
        self.server.kept[name] = body
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        self._answer(201, Docker_Content_Digest=self.server.misnamed or digest)

    do_GET = do_HEAD = do_POST = do_PUT = handle_one


class TokenRegistry(ThreadingHTTPServer):
    """A registry that wants a token, which its own token service gives."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kept: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.full = False
        self.misnamed = ""

    @property
    def reference(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}/a/b:1.0"


@pytest.fixture
def registry() -> Iterator[TokenRegistry]:
    with TokenRegistry() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    image.write(MODULE, tmp_path / "layout", "oci")
    return tmp_path / "layout"


def test_a_push_gets_a_token_and_uploads_what_is_not_there(registry: TokenRegistry, layout: Path) -> None:
    digest = push(layout, registry.reference, credentials=CREDENTIALS)
    assert registry.kept["1.0"] == image.blob(layout, digest)
    blobs = {name: content for name, content in registry.kept.items() if name != "1.0"}
    assert blobs == {name: image.blob(layout, name) for name in blobs} and len(blobs) == 2
    registry.asked.clear()
    push(layout, registry.reference, credentials=CREDENTIALS)
    assert [method for method, path in registry.asked if path != "/token"].count("POST") == 0


def test_without_a_password_the_token_service_is_quoted(registry: TokenRegistry, layout: Path) -> None:
    with pytest.raises(RegistryError, match=r"GET http://127.0.0.1:\d+/token\?\S+: 401 DENIED who are you\?"):
        push(layout, registry.reference, credentials=("nobody", ""))


def test_what_the_registry_says_is_told(registry: TokenRegistry, layout: Path) -> None:
    registry.full = True
    with pytest.raises(RegistryError, match=r"PUT .*: 507 no room"):
        push(layout, registry.reference, credentials=CREDENTIALS)


def test_another_digest_is_an_error(registry: TokenRegistry, layout: Path) -> None:
    registry.misnamed = "sha256:other"
    with pytest.raises(RegistryError, match=r"manifests/1\.0: the registry calls sha256:\w+ sha256:other"):
        push(layout, registry.reference, credentials=CREDENTIALS)


def test_nobody_listens(layout: Path) -> None:
    with pytest.raises(RegistryError, match=r"HEAD http://127.0.0.1:1/v2/a/blobs/.*: .*refused"):
        push(layout, "127.0.0.1:1/a:1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("registry.example.com/a/b:1.0", Reference("registry.example.com", "a/b", "1.0")),
        ("oci://localhost:5000/filter", Reference("localhost:5000", "filter", "latest")),
        ("[::1]:5000/a-b", Reference("[::1]:5000", "a-b", "latest")),
    ],
)
def test_a_reference(text: str, expected: Reference) -> None:
    assert Reference.parse(text) == expected
    assert expected.on_loopback == (not text.startswith("registry"))


@pytest.mark.parametrize(
    "text", ["", "a", "a/b", "Registry.example.com/A", "registry.example.com/a@sha256:00", "h:5/a:", "/a"]
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(ValueError, match="no place in a registry"):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"auths": {"host:1": {"auth": base64.b64encode(b"a:b:c").decode()}}}, ("a", "b:c")),
        ({"auths": {"host:1": {}}, "credsStore": "desktop"}, None),
        ({"auths": {"other": {"auth": "YTpi"}}}, None),
        ([], None),
    ],
)
def test_saved_credentials(content: Any, expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert saved_credentials("host:1") is None
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert saved_credentials("host:1") == expected
