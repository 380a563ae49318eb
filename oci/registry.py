"""Pushes an image layout into a registry, as `skopeo copy oci:DIRECTORY docker://REFERENCE` does: the OCI distribution specification."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from oci import image

TIMEOUT_SECONDS = 60.0
"""How long a registry may be silent."""

_REFERENCE = re.compile(
    r"(?P<host>[\w.-]+(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?)"
    r"/(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::(?P<tag>\w[\w.-]{0,127}))?",
    re.ASCII,
)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class RegistryError(Exception):
    """A registry refused something, or cannot be reached; the text says what, where, and what it answered."""


@dataclass(frozen=True)
class Reference:
    """Where an image is or shall be: a registry's host and port, a name there, a tag."""

    host: str
    name: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Reads `HOST[:PORT]/NAME[:TAG]`, with `oci://` in front or not; raises ValueError for anything else."""
        found = _REFERENCE.fullmatch(text.removeprefix("oci://"))
        # As everywhere, what has neither dot nor port is a name on some default registry, which there is none of here.
        if not found or not re.search(r"[.:]|^localhost$", found["host"]):
            raise ValueError(
                f"{text!r} is no place in a registry: write HOST[:PORT]/NAME[:TAG], as registry.example.com/filter:1.0"
            )
        return cls(found["host"], found["name"], found["tag"] or "latest")

    @property
    def on_loopback(self) -> bool:
        """Whether the registry is on this machine."""
        host = urllib.parse.urlsplit(f"//{self.host}").hostname or ""
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(host).is_loopback
        return host == "localhost"


def push(layout: Path, reference: str, plain_http: bool = False, credentials: tuple[str, str] | None = None) -> str:
    """Pushes the layout's image, and returns its digest, which the registry confirmed.

    Without `credentials`, a user's name and password, those of `docker login` are taken. Raises ValueError for a wrong reference or
    layout, and RegistryError if the registry does not take it.
    """
    place = Reference.parse(reference)
    client = _Client(place, plain_http or place.on_loopback, credentials or saved_credentials(place.host))
    digest = image.digest(layout)
    manifest = image.blob(layout, digest)
    described = json.loads(manifest)
    for name in dict.fromkeys(blob["digest"] for blob in [described["config"], *described["layers"]]):
        client.push_blob(name, image.blob(layout, name))
    client.push_manifest(manifest, digest)
    return digest


def saved_credentials(host: str) -> tuple[str, str] | None:
    """Returns the name and password that `docker login` saved for a registry, if its configuration has them in itself."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        saved = json.loads((folder / "config.json").read_text(encoding="utf-8"))["auths"][host]["auth"]
        user, colon, password = base64.b64decode(saved).decode().partition(":")
        return (user, password) if colon else None
    return None


@dataclass
class _Client:
    place: Reference
    plain_http: bool
    credentials: tuple[str, str] | None
    _authorization: dict[str, str] = field(default_factory=dict)

    @property
    def _root(self) -> str:
        return f"{'http' if self.plain_http else 'https'}://{self.place.host}"

    @property
    def _repository(self) -> str:
        return f"{self._root}/v2/{self.place.name}"

    def push_blob(self, digest: str, content: bytes) -> None:
        """Uploads a blob in one piece, if the registry has it not yet."""
        with self._asked("HEAD", f"{self._repository}/blobs/{digest}", allowed=(404,)) as answer:
            if answer.status == 200:
                return
        with self._asked("POST", f"{self._repository}/blobs/uploads/", b"") as answer:
            place = urllib.parse.urljoin(self._repository, answer.headers["Location"])
        place += ("&" if "?" in place else "?") + urllib.parse.urlencode({"digest": digest})
        with self._asked("PUT", place, content, {"Content-Type": "application/octet-stream"}):
            pass

    def push_manifest(self, content: bytes, digest: str) -> None:
        """Uploads the manifest under the tag."""
        url = f"{self._repository}/manifests/{self.place.tag}"
        with self._asked("PUT", url, content, {"Content-Type": image.MANIFEST}) as answer:
            named = answer.headers.get("Docker-Content-Digest", digest)
        if named != digest:
            raise RegistryError(f"{url}: the registry calls {digest} {named}")

    @contextlib.contextmanager
    def _asked(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        allowed: tuple[int, ...] = (),
    ) -> Iterator[HTTPResponse]:
        """Asks once, and once more with what the registry wants for authentication."""
        with contextlib.ExitStack() as stack:
            try:
                answer = stack.enter_context(self._ask(method, url, body, headers))
                if answer.status == 401 and self._authorize(answer.headers.get_all("WWW-Authenticate", [])):
                    answer = stack.enter_context(self._ask(method, url, body, headers))
            except OSError as error:
                raise RegistryError(f"{method} {url}: {getattr(error, 'reason', error)}") from error
            except HTTPException as error:
                raise RegistryError(
                    f"{method} {url}: the answer is no HTTP: {error!r}; is the port a registry's?"
                ) from error
            if answer.status >= 300 and answer.status not in allowed:
                raise RegistryError(f"{method} {url}: {answer.status} {_told(answer)}{self._hint(answer.status)}")
            yield answer

    def _hint(self, status: int) -> str:
        """Returns what to do about a password that is wanted and not known."""
        if status != 401 or self.credentials:
            return ""
        return (
            f"; no password is saved for it: `docker login {self.place.host}`, without a credential helper, saves one"
        )

    def _ask(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str] | None) -> HTTPResponse:
        request = urllib.request.Request(url, data=body, headers=dict(headers or {}), method=method)
        # An upload may go to another host, which needs no password.
        if urllib.parse.urlsplit(url).netloc == self.place.host:
            for name, value in self._authorization.items():
                request.add_unredirected_header(name, value)
        return _open(request)

    def _authorize(self, challenges: list[str]) -> bool:
        """Answers what the registry asked for; tells whether there is anything new to try."""
        before = dict(self._authorization)
        for challenge in challenges:
            scheme, _, rest = challenge.partition(" ")
            if scheme.lower() == "bearer":
                self._authorization["Authorization"] = f"Bearer {self._token(dict(_PARAMETER.findall(rest)))}"
            elif scheme.lower() == "basic" and self.credentials:
                self._authorization["Authorization"] = self._basic()
        return self._authorization != before

    def _basic(self) -> str:
        assert self.credentials
        return "Basic " + base64.b64encode(":".join(self.credentials).encode()).decode()

    def _token(self, parameters: dict[str, str]) -> str:
        scope = parameters.get("scope", f"repository:{self.place.name}:pull,push")
        query = urllib.parse.urlencode({"service": parameters.get("service", ""), "scope": scope})
        url = f"{parameters.get('realm', '')}?{query}"
        request = urllib.request.Request(url)
        if self.credentials:
            request.add_unredirected_header("Authorization", self._basic())
        with _open(request) as answer:
            if answer.status != 200:
                raise RegistryError(f"GET {url}: {answer.status} {_told(answer)}")
            with contextlib.suppress(ValueError, AttributeError, KeyError):
                told = json.load(answer)
                return str(told.get("token") or told["access_token"])
        raise RegistryError(f"GET {url}: the answer has no token")


def _open(request: urllib.request.Request) -> HTTPResponse:
    """Sends a request and returns the answer, whatever its status."""
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        # It is the answer: an HTTPResponse, wrapped.
        return error  # type: ignore[return-value]
    assert isinstance(answer, HTTPResponse)
    return answer


def _told(answer: HTTPResponse) -> str:
    """Returns what a registry says in the body of an error."""
    text = answer.read(4096).decode(errors="replace")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return "; ".join(f"{error['code']} {error.get('message', '')}".strip() for error in json.loads(text)["errors"])
    return text.strip() or answer.reason
