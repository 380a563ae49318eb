"""Looks for a pattern in each part of a request's body as it comes, and refuses the request that has it."""

import proxy_wasm
from proxy_wasm import Action, HttpContext

PATTERN = b"pattern"


class Request(HttpContext):
    chunks = 0
    read = 0

    def on_request_body(self, size: int, end_of_stream: bool) -> Action:
        # What was held back before is still there: the chunk is what came since.
        chunk = self.request_body.read(self.read)
        if chunk:
            self.chunks += 1
            self.read = size
        if PATTERN in chunk:
            text = f"pattern found in chunk: {self.chunks}"
            print(text)
            return self.send_response(403, {"powered-by": "proxy-wasm"}, text)
        return Action.CONTINUE if end_of_stream else Action.PAUSE


class Plugin(proxy_wasm.RootContext):
    http_context = Request


proxy_wasm.register(Plugin)
