"""An asyncio server that answers HTTP, and tells every other client its name.

A client that sends `GET /ip` is answered with its address and the router's name as JSON, one that sends `GET /health` with the name.
A client that sends nothing, or something that is no HTTP, gets the name as one line: the reply proves the route either way.

Behind a proxy that sends PROXY headers, the address is the client's own, and `/ip` has the destination too. A router that forwards
answers nobody who was going somewhere: it connects there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from http import HTTPStatus

from egress_router.forwarding import Forwarder
from egress_router.proxy_protocol import Header, HeaderError, read_header

SILENCE_SECONDS = 0.2
"""How long a client may be silent before it counts as one that waits for the name."""
REQUEST_SECONDS = 5.0
"""How long a request may take to arrive."""
MAX_REQUEST = 16 * 1024
"""How many bytes a request's head may have."""

_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ")


class EgressRouter:
    """One router: its name, and the connections that it has answered.

    With `proxy_protocol` each connection must begin with a PROXY header, and is closed if it does not. With a `forwarder` too.
    """

    def __init__(self, name: str, proxy_protocol: bool = False, forwarder: Forwarder | None = None) -> None:
        self.name = name
        self.connections = 0
        self._proxy_protocol = proxy_protocol or forwarder is not None
        self._forwarder = forwarder

    async def start(self, host: str, port: int) -> asyncio.Server:
        """Listens on host and port (0: a free one) and returns the server; raises OSError if it cannot."""
        return await asyncio.start_server(self._serve, host, port, limit=MAX_REQUEST, backlog=4096)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        # A client may go away at any time, and that is its business: write_eof() then raises an OSError that is no ConnectionError.
        # A router that stops cancels this: asyncio's streams would report that as an error.
        with contextlib.suppress(OSError, asyncio.CancelledError, HeaderError):
            header = await read_header(reader) if self._proxy_protocol else Header()
            if self._forwarder and header.destination:
                await self._forwarder.forward(reader, writer, header.source, header.destination)
            else:
                await self._answer(reader, writer, header)
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, header: Header) -> None:
        # A client that has reset the connection has no name any more.
        host = (header.source or writer.get_extra_info("peername") or ("", 0))[0]
        writer.write(await self._reply(reader, {"origin": host} | _destination(header)))
        await asyncio.wait_for(writer.drain(), REQUEST_SECONDS)
        if writer.can_write_eof():
            writer.write_eof()

    async def _reply(self, reader: asyncio.StreamReader, client: dict[str, str]) -> bytes:
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
            origin = headers.get("x-forwarded-for") or client["origin"]
            return self._http(HTTPStatus.OK, client | {"origin": origin, "router": self.name})
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


def _destination(header: Header) -> dict[str, str]:
    if not header.destination:
        return {}
    host, port = header.destination
    return {"destination": f"[{host}]:{port}" if ":" in host else f"{host}:{port}"}
