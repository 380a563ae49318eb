"""The filter that asks another service before it lets a request in, by `await`: it does what `callback` does."""

from __future__ import annotations

import proxy_wasm
from proxy_wasm import Action


class Request(proxy_wasm.HttpContext):
    """A request."""

    async def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        """Asks, and lets in, or answers."""
        answer = await self.fetch("authz", "/check")
        return None if answer.status == 200 else self.send_response(403)


class Root(proxy_wasm.RootContext):
    """The root."""

    http_context = Request


proxy_wasm.register(Root)
