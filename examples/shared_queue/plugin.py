"""Sends what requests and connections bring through queues to a receiver in another VM.

The root id `receiver` is the plugin that reads a queue, and `sender` the one that writes to them.
"""

import hashlib
import json

import proxy_wasm
from proxy_wasm import Buffer, HttpContext

RECEIVER_VM = "receiver"


class Receiver(proxy_wasm.RootContext):
    def on_configure(self, configuration: bytes) -> bool:
        self.name = configuration.decode()
        proxy_wasm.register_shared_queue(self.name)
        return True

    def on_queue_ready(self, queue: int) -> None:
        while (entry := proxy_wasm.dequeue_shared_queue(queue)) is not None:
            print(f"from {self.name}: {entry.decode()}")


def send(name: str, entry: str) -> None:
    queue = proxy_wasm.resolve_shared_queue(RECEIVER_VM, name)
    if queue is None:
        proxy_wasm.warn(f"no receiver for {name} yet")
    else:
        proxy_wasm.enqueue_shared_queue(queue, entry)


def send_headers(name: str, headers: proxy_wasm.Headers) -> None:
    for key, value in headers.items():
        send(name, json.dumps({"key": key.decode(), "value": value.decode("utf-8", "replace")}))


class Request(HttpContext):
    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        send_headers("http_request_headers", self.request_headers)

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        send_headers("http_response_headers", self.response_headers)


class Connection(proxy_wasm.StreamContext):
    def on_upstream_data(self, size: int, end_of_stream: bool) -> None:
        data = proxy_wasm.get_buffer(Buffer.UPSTREAM_DATA)
        if data:
            send("tcp_data_hashes", hashlib.sha256(data).hexdigest())


class Sender(proxy_wasm.RootContext):
    http_context = Request
    stream_context = Connection


proxy_wasm.register(Receiver, "receiver")
proxy_wasm.register(Sender, "sender")
