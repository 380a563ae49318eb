"""A client of HTTP/2 without TLS, for one request at a time."""

from __future__ import annotations

import socket

from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset


def request(
    address: tuple[str, int], path: str, headers: dict[str, str], body: bytes | None, source: str
) -> tuple[dict[str, str], bytes]:
    """Returns the response's headers and body; it is a POST if it has a body. Raises ConnectionError if the stream is reset."""
    client = H2Connection()
    client.initiate_connection()
    pseudo = {":method": "GET" if body is None else "POST", ":scheme": "http", ":authority": "localhost", ":path": path}
    client.send_headers(1, list((pseudo | headers).items()), end_stream=body is None)
    if body is not None:
        client.send_data(1, body, end_stream=True)
    got: dict[str, str] = {}
    data = b""
    with socket.create_connection(address, timeout=10, source_address=(source, 0)) as connection:
        while True:
            connection.sendall(client.data_to_send())
            received = connection.recv(1 << 16)
            if not received:
                raise ConnectionError("the connection was closed before the response's end")
            for event in client.receive_data(received):
                match event:
                    case ResponseReceived():
                        got = {name.decode(): value.decode() for name, value in event.headers}
                    case DataReceived():
                        data += event.data
                        client.acknowledge_received_data(event.flow_controlled_length, 1)
                    case StreamEnded():
                        return got, data
                    case StreamReset():
                        raise ConnectionError(f"the stream was reset: {event.error_code}")
