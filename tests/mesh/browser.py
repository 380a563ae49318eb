"""Debian's Chromium without a screen, driven by its `chromedriver` over WebDriver (W3C), in a network namespace."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envoy.process import die_with_parent
from envoy.waiting import wait_for
from tests.mesh.namespaces import Namespace

_PORT = 9515
_URL = f"http://127.0.0.1:{_PORT}"
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The standard's name for a reference to an element."""
START_SECONDS = 60.0


class BrowserError(Exception):
    """The browser does not do what it was told; the text says why."""


class Browser:
    """A browser with one page open."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        # Root has no sandbox, and a namespace no graphics.
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000"]}
        wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
        self._session = ""
        self._session = "/session/" + self._call("POST", "/session", capabilities=wanted)["sessionId"]

    def open(self, url: str) -> None:
        """Opens a page."""
        self._call("POST", "/url", url=url)

    def text(self) -> str:
        """Returns what a person reads on the page."""
        found: str = self._call("POST", "/execute/sync", script="return document.body.innerText", args=[])
        return found

    def rows(self) -> list[list[str]]:
        """Returns the cells of all rows of all tables."""
        script = "return [...document.querySelectorAll('tr')].map(row => [...row.cells].map(cell => cell.innerText))"
        found: list[list[str]] = self._call("POST", "/execute/sync", script=script, args=[])
        return found

    def write(self, css: str, text: str) -> None:
        """Writes into a field, in place of what stands there."""
        control, a = "\ue009", "a"
        self._call("POST", f"/element/{self._find('css selector', css)}/value", text=f"{control}{a}{control}{text}")

    def press(self, label: str) -> None:
        """Clicks on the button with this text, whatever its case."""
        lower = "translate(normalize-space(.), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')"
        found = self._find("xpath", f"//button[{lower} = '{label.lower()}']")
        self._call("POST", f"/element/{found}/click")

    def screenshot(self, file: Path) -> None:
        """Writes what the page looks like, as PNG."""
        file.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def close(self) -> None:
        """Ends the browser."""
        self._call("DELETE", "")

    def _find(self, how: str, what: str) -> str:
        found: str = self._call("POST", "/element", using=how, value=what)[_ELEMENT]
        return found

    def _call(self, method: str, path: str, **body: Any) -> Any:
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(f"{_URL}{self._session}{path}", data, method=method)
        try:
            with self._namespace.entered(), urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise BrowserError(f"{path}: {json.load(error)['value']['message']}") from None


def missing() -> str:
    """Returns what must be installed first, or ""."""
    return (
        ""
        if shutil.which("chromedriver")
        else "there is no chromedriver: tools/debian-install chromium chromium-driver"
    )


@contextlib.contextmanager
def run(namespace: Namespace, work: Path) -> Iterator[Browser]:
    """Gives a browser in a namespace, for the block."""
    with (work / "chromedriver.log").open("wb") as log, namespace.entered():
        driver = subprocess.Popen(
            ["chromedriver", f"--port={_PORT}"], stdout=log, stderr=log, preexec_fn=die_with_parent, cwd=work
        )

    def answers() -> bool:
        with contextlib.suppress(OSError), namespace.entered():
            urllib.request.urlopen(f"{_URL}/status", timeout=5).close()
            return True
        return False

    try:
        if not wait_for(answers, START_SECONDS, pause=0.1):
            raise BrowserError("chromedriver does not answer")
        browser = Browser(namespace)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        driver.terminate()
        driver.wait(10)
