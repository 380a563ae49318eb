"""A filter whose callbacks are `async def`, and which says what is called and answered: the source address asks for a scene (scenes.py).

Root ids `open` and `closed` are the two failure policies.
"""

from __future__ import annotations

import proxy_wasm
from proxy_wasm import Action, Buffer, FailurePolicy, HostError, HttpAnswer, gather
from tests.envoy.guests.scenes import AWAITING
from tests.envoy.guests.talking import Witness


class Stream(Witness):
    """A connection that waits for answers as its scene says."""

    scenes = AWAITING
    root: Open

    async def ask(self, path: str, cluster: str = "authz", timeout: float = 5.0) -> HttpAnswer:
        """Says what the answer is."""
        answer = await self.fetch(cluster, path, timeout=timeout)
        self.say("answer", answer.status, "failed" if answer.failed else answer.body)
        return answer

    async def ask_and_raise(self) -> None:
        """Raises when the answer is there."""
        await self.ask("/200")
        raise RuntimeError("on purpose")

    async def on_new_connection(self) -> Action | None:
        """Plays the scene, and says so if that is cut short."""
        self.say("new connection")
        try:
            return await self.play()
        except GeneratorExit:
            self.say("cut short")
            raise
        finally:
            self.say("over")

    async def play(self) -> Action | None:
        """Plays the scene."""
        match self.scene:
            case "is_let_in":
                await self.ask("/200")
            case "is_turned_away" | "times_out" | "is_refused":
                path, cluster, timeout = {
                    "is_turned_away": ("/403", "authz", 5.0),
                    "times_out": ("/hang", "authz", 0.2),
                    "is_refused": ("/200", "nobody", 5.0),
                }[self.scene]
                if (await self.ask(path, cluster, timeout)).status != 200:
                    proxy_wasm.close_downstream()
            case "has_no_endpoint":
                try:
                    await self.ask("/200", "empty")
                except HostError as error:
                    self.say("call:", type(error).__name__, "about", repr(error.about))
            case "asks_twice":
                while (await self.ask("/200" if self.asked else "/503")).failed:
                    self.asked = True
            case "asks_two_at_once":
                answers = await gather(self.fetch("authz", "/200"), self.fetch("authz", "/403"))
                self.say("both", [answer.status for answer in answers])
            case "one_of_two_raises":
                try:
                    await gather(self.ask_and_raise(), self.ask("/slow"))
                except RuntimeError as error:
                    self.say("caught", error)
            case "raises":
                await self.ask_and_raise()
            case "raises_at_once":
                raise RuntimeError("on purpose")
            case "returns_true":
                await self.ask("/200")
                return True  # type: ignore[return-value]
            case "leaves" | "speaks_meanwhile":
                await self.ask("/slow")
            case "speaks_and_is_turned_away":
                await self.ask("/slow")
                proxy_wasm.close_downstream()
            case "stays_paused":
                await self.ask("/200")
                return Action.PAUSE
            case "calls_back":
                await self.ask("/200")
                headers = {":method": "GET", ":path": "/403", ":authority": "authz"}
                proxy_wasm.http_call("authz", headers)
                return Action.PAUSE
            case "root_asks":
                self.root.waiting = self
                proxy_wasm.set_tick_period(50)
                return Action.PAUSE
        return None

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        """Hears the answer to a call that nobody awaits."""
        self.say("callback", proxy_wasm.get_http_answer().status)
        proxy_wasm.continue_downstream()

    async def on_downstream_data(self, size: int, end_of_stream: bool) -> Action | None:
        """Says what came, and asks about the first bytes if the scene says so."""
        self.say("downstream", size, end_of_stream, proxy_wasm.get_buffer(Buffer.DOWNSTREAM_DATA))
        if self.scene == "asks_about_first_bytes" and not self.asked:
            self.asked = True
            await self.ask("/200")
            self.say("held:", proxy_wasm.get_buffer(Buffer.DOWNSTREAM_DATA))
        return None


class Open(proxy_wasm.RootContext):
    """Continues when a callback raises."""

    stream_context = Stream
    failure_policy = FailurePolicy.CONTINUE
    waiting: Stream | None = None

    async def on_tick(self) -> None:
        """Asks for the connection that waits, and lets it in."""
        stream, self.waiting = self.waiting, None
        if stream is not None:
            proxy_wasm.set_tick_period(0)
            answer = await self.fetch("authz", "/200")
            stream.say("root", answer.status)
            proxy_wasm.set_effective_context(stream.context_id)
            proxy_wasm.continue_downstream()


class Closed(Open):
    """Closes the connection when a callback raises."""

    failure_policy = FailurePolicy.CLOSE


def register() -> None:
    """Registers a class for each root id; `silent` and `restricted` are the conversation's."""
    proxy_wasm.register(Closed, "closed")
    proxy_wasm.register(Open)


register()
