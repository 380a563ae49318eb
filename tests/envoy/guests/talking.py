"""What the filters of the conversations share: streams that play scenes, and say what is called."""

from __future__ import annotations

from typing import ClassVar

import proxy_wasm
from proxy_wasm import Buffer, PeerType
from tests.envoy.guests.scenes import SCENES, scene

SOURCE = proxy_wasm.property_path("source", "address")


class Actor(proxy_wasm.StreamContext):
    """A connection that plays the scene for which its source address asks."""

    scenes: ClassVar[tuple[str, ...]] = SCENES

    def __init__(self, context_id: int, root: proxy_wasm.RootContext) -> None:
        super().__init__(context_id, root)
        self.scene = scene(proxy_wasm.get_property(SOURCE), self.scenes)
        self.asked = False

    def say(self, *words: object) -> None:
        """Logs a line of the conversation."""
        proxy_wasm.info(f"# {self.scene}: {' '.join(str(word) for word in words)}")


class Witness(Actor):
    """One that says what comes from upstream, and how the connection ends."""

    def on_upstream_data(self, size: int, end_of_stream: bool) -> None:
        """Says what came."""
        self.say("upstream", size, end_of_stream, proxy_wasm.get_buffer(Buffer.UPSTREAM_DATA))

    def on_downstream_connection_close(self, peer: PeerType) -> None:
        """Says who closed."""
        self.say("downstream closed by", peer.name)

    def on_upstream_connection_close(self, peer: PeerType) -> None:
        """Says who closed."""
        self.say("upstream closed by", peer.name)

    def on_done(self) -> bool:
        """Says so."""
        self.say("done")
        return True

    def on_log(self) -> None:
        """Says so."""
        self.say("log")

    def on_delete(self) -> None:
        """Says so."""
        self.say("delete")
