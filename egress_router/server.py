"""An asyncio server that answers HTTP, and tells every other client its name.

A client that sends `GET /ip` is answered with its address and the router's name as JSON, one that sends `GET /health` with the name.
A client that sends nothing, or something that is no HTTP, gets the name as one line: the reply proves the route either way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from http import HTTPStatus

SILENCE_SECONDS = 0.2
"""How long a client may be silent before it counts as one that waits for the name."""
REQUEST_SECONDS = 5.0
"""How long a request may take to arrive."""
MAX_REQUEST = 16 * 1024
"""How many bytes a request's head may have."""

_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ")


class EgressRouter:
    """One router: its name, and the connections that it has answered."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections = 0

    async def start(self, host: str, port: int) -> asyncio.Server:
        """Listens on host and port (0: a free one) and returns the server; raises OSError if it cannot."""
        return await asyncio.start_server(self._answer, host, port, limit=MAX_REQUEST, backlog=4096)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        # A client may go away at any time, and that is its business: write_eof() then raises an OSError that is no ConnectionError.
        # A router that stops cancels this: asyncio's streams would report that as an error.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            writer.write(await self._reply(reader, writer))
            await asyncio.wait_for(writer.drain(), REQUEST_SECONDS)
            if writer.can_write_eof():
                writer.write_eof()
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        line = self.name.encode() + b"\n"
        try:
            first = await asyncio.wait_for(reader.readline(), SILENCE_SECONDS)
        except (TimeoutError, ValueError):
            return line
        if not first.startswith(_METHODS):
            return line
        words = first.split()
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return self._http(HTTPStatus.BAD_REQUEST, {"error": "malformed request line"})
        try:
            headers = await asyncio.wait_for(self._headers(reader), REQUEST_SECONDS)
        except TimeoutError:
            return self._http(HTTPStatus.REQUEST_TIMEOUT, {"error": "the request did not end"})
        except ValueError as error:
            return self._http(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        if words[0] != b"GET":
            return self._http(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "only GET"})
        if words[1] == b"/health":
            return self._http(HTTPStatus.OK, {"router": self.name})
        if words[1] == b"/ip":
            origin = headers.get("x-forwarded-for") or writer.get_extra_info("peername")[0]
            return self._http(HTTPStatus.OK, {"origin": origin, "router": self.name})
        return self._http(HTTPStatus.NOT_FOUND, {"error": "there are /ip and /health"})

    @staticmethod
    async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
        headers: dict[str, str] = {}
        size = 0
        while (line := await reader.readline()).strip():
            size += len(line)
            name, colon, value = line.decode("latin-1").partition(":")
            if size > MAX_REQUEST or not colon:
                raise ValueError("malformed or too many headers")
            headers[name.strip().lower()] = value.strip()
        return headers

    def _http(self, status: HTTPStatus, body: dict[str, str]) -> bytes:
        content = json.dumps(body).encode() + b"\n"
        head = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
            "Connection: close",
        ]
        return "\r\n".join([*head, "", ""]).encode() + content
