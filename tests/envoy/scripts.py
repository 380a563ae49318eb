"""What clients do in a conversation, and what a filter says of a whole connection."""

from __future__ import annotations

from typing import NamedTuple

from tests.envoy.talks import Client, Script

NEW = ["new connection"]
OVER = ["done", "log", "delete"]
CLOSED = ["downstream closed by LOCAL", *OVER]
LEFT = ["downstream closed by REMOTE", *OVER]
FINISHED = ["downstream 0 True b''", "upstream 0 True b''", "upstream closed by UNKNOWN", *CLOSED]
HELLO = ["downstream 5 False b'hello'", "upstream 5 False b'hello'", *FINISHED]
RAISED = ["RuntimeError: on purpose"]


def hello(client: Client) -> None:
    client.send(b"hello")
    client.expect(b"hello")
    client.finish()


def hello_in_pieces(client: Client) -> None:
    client.send(b"hello")
    client.send(b"hello")
    client.expect(b"hellohello")
    client.finish()


def closed(client: Client) -> None:
    client.expect_closed()


def leave(client: Client) -> None:
    client.leave()
    client.wait()


def speak_into_the_void(client: Client) -> None:
    client.send_unread(b"hello")


def speak_meanwhile(client: Client) -> None:
    client.send(b"hello")
    client.send(b"hello")
    client.wait()
    client.expect(b"hellohello")
    client.finish()


def speak_and_be_closed(client: Client) -> None:
    client.send(b"hello")
    client.wait()
    client.expect_closed()


class Talk(NamedTuple):
    """A connection to a listener, what the client does, and what the filter then says."""

    scene: str
    script: Script
    said: list[str]
    listener: str = "open"

    def __str__(self) -> str:
        return f"{self.scene}-{self.listener}"
