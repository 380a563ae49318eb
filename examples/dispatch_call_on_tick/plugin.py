"""Makes an HTTP call each time the timer ticks, and logs the answer: no request is needed for that."""

import random

import proxy_wasm


class Plugin(proxy_wasm.RootContext):
    answers = 0

    def on_configure(self, configuration: bytes) -> bool:
        proxy_wasm.set_tick_period(1000)
        return True

    def on_tick(self) -> None:
        path = random.choice(["/ok", "/fail"])
        headers = {":method": "GET", ":path": path, ":authority": "some_authority", "accept": "*/*"}
        proxy_wasm.http_call("web_service", headers)

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        self.answers += 1
        answer = proxy_wasm.get_http_answer()
        print(f"answer {self.answers}: status {answer.status}")
        for name, value in [*answer.headers, *answer.trailers]:
            proxy_wasm.info(b"%b: %b" % (name, value))


proxy_wasm.register(Plugin)
