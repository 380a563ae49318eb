"""Holds requests back, and lets all that wait go on when the timer ticks."""

import proxy_wasm
from proxy_wasm import Action, HttpContext


class Request(HttpContext):
    root: "Plugin"

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action:
        print(f"postpone request {self.context_id}")
        self.root.postponed.append(self)
        return Action.PAUSE

    def on_delete(self) -> None:
        # The client did not wait for so long.
        if self in self.root.postponed:
            self.root.postponed.remove(self)


class Plugin(proxy_wasm.RootContext):
    http_context = Request

    def on_configure(self, configuration: bytes) -> bool:
        self.postponed: list[Request] = []
        proxy_wasm.set_tick_period(1000)
        return True

    def on_tick(self) -> None:
        postponed, self.postponed = self.postponed, []
        for request in postponed:
            print(f"resume request {request.context_id}")
            request.continue_request()


proxy_wasm.register(Plugin)
