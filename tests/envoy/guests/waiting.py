"""HTTP filters whose callbacks are `async def`: a request's `x-scene` says what is awaited, where, and what then becomes of it.

Root ids `headers` and `bodies` wait in the callbacks of headers, and with whole bodies; with `closed` behind they have the failure
policy CLOSE. `both` waits in the headers and holds the body back.
"""

from __future__ import annotations

import time

import proxy_wasm
from proxy_wasm import Action, FailurePolicy, HttpContext, StreamStateError, gather
from proxy_wasm.timers import sleep, wait_for


class Request(HttpContext):
    """A request in which what its scene names waits."""

    scene = ""
    rested = False

    async def play(self, place: str) -> Action | None:
        """Waits, and does what the scene says, if it says something for this place."""
        at, _, deed = self.scene.partition(", ")
        if at != place:
            return None
        if deed == "hangs":
            await self.hang()
        if deed == "sleeps":
            await sleep(0.2)
        if deed == "naps":
            await gather(self.nap(), self.chat())
        if deed == "is late":
            try:
                await wait_for(self.fetch("silent", timeout=60), 0.2)
            except TimeoutError as error:
                proxy_wasm.info(f"# {self.scene}: {error}")
        one, two = await gather(self.fetch("upstream", "/one"), self.fetch("upstream", "/two", body=b"two"))
        proxy_wasm.info(f"# {self.scene}: {one.status} {two.body.decode()}")
        if deed == "raises":
            raise RuntimeError("on purpose")
        if deed == "answers twice":
            self.send_response(403, body="no")
        if deed.startswith("answers"):
            return self.send_response(403, body="no")
        return None

    async def nap(self) -> None:
        """Sleeps often, and tells by how many seconds it woke too early at most."""
        early = []
        for _ in range(20):
            begin = time.monotonic()
            await sleep(0.01)
            early.append(begin + 0.01 - time.monotonic())
        self.rested = True
        proxy_wasm.info(f"# {self.scene}: {max(early)}")

    async def chat(self) -> None:
        """Keeps Envoy awake meanwhile: a worker without anything to do sleeps a little longer than it was told."""
        while not self.rested:
            await self.fetch("upstream", "/one")

    async def hang(self) -> None:
        """Waits for ever, and tries what it can when the request is over."""
        try:
            await self.fetch("silent", timeout=60)
        finally:
            for deed in (lambda: self.send_response(403), self.reset, self.continue_request, self.continue_response):
                try:
                    deed()
                except StreamStateError as error:
                    proxy_wasm.info(f"# {self.scene}: {error}")

    def read_scene(self) -> None:
        """Reads the scene."""
        self.scene = (self.request_headers.get("x-scene") or b"").decode()


class InHeaders(Request):
    """Waits in the callbacks of headers."""

    async def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        """Sets a header afterwards."""
        self.read_scene()
        result = await self.play("request headers")
        if result is None:
            self.request_headers["x-seen"] = "1"
        return result

    async def on_response_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        """Sets a header afterwards, but not of a response of its own."""
        if self.response_headers.get("x-server") is None:
            return None
        result = await self.play("response headers")
        if result is None:
            self.response_headers["x-seen"] = "1"
        return result


class WithBodies(Request):
    """Waits with whole bodies."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        """Waits for nothing."""
        self.read_scene()
        return None

    async def on_request_complete(self, body: bytes) -> Action | None:
        """Changes the body afterwards."""
        result = await self.play("request body")
        if result is None:
            self.request_body.replace(body.upper())
        return result

    async def on_response_complete(self, body: bytes) -> Action | None:
        """Changes the body afterwards."""
        result = await self.play("response body")
        if result is None:
            self.response_body.replace(body.upper())
        return result


class InBoth(InHeaders):
    """Waits in the headers of the request, and then holds the body back."""

    async def on_request_complete(self, body: bytes) -> None:
        """Only reads the body."""
        proxy_wasm.info(f"# {self.scene}: {body.decode()}")


for root_id, http_context in (("headers", InHeaders), ("bodies", WithBodies), ("both", InBoth)):
    for suffix, policy in (("", FailurePolicy.CONTINUE), ("-closed", FailurePolicy.CLOSE)):
        members = {"http_context": http_context, "failure_policy": policy}
        proxy_wasm.register(type("Root", (proxy_wasm.RootContext,), members), root_id + suffix)
