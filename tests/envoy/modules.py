"""A server from which Envoy fetches modules, as slow or as broken as a test wants it."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path


class ModuleServer:
    """A running server: `requests` counts, `delay` is how many seconds an answer takes, `refusals` how many requests get a 503 first."""

    def __init__(self, module: Path) -> None:
        self.body = module.read_bytes()
        self.delay = 0.0
        self.refusals = 0
        self.requests = 0
        self.port = 0


@contextlib.contextmanager
def serve(module: Path) -> Iterator[ModuleServer]:
    """Serves a module under every path, on a free port of 127.0.0.1, until the block is over."""
    served = ModuleServer(module)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests += 1
            time.sleep(served.delay)
            refused = served.requests <= served.refusals
            body = b"" if refused else served.body
            # Envoy may have given up meanwhile.
            with contextlib.suppress(ConnectionError):
                self.send_response(503 if refused else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
