"""The client: `h2load` of nghttp2, in C, which speaks HTTP/1.1 and HTTP/2 and checks nothing but statuses and sizes."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass

from bench.http.variants import Variant
from envoy.process import die_with_parent

PROGRAM = "h2load"
HTTP1, HTTP2 = "HTTP/1.1", "HTTP/2"
STREAMS = 4
"""Requests under way at a time on a connection of HTTP/2."""

# With what client and Envoy add, ten headers: what a browser's request has.
HEADERS = {
    "accept": "text/html,application/json;q=0.9,*/*;q=0.8",
    "accept-language": "en-GB,en;q=0.5",
    "cookie": "session=0123456789abcdef0123456789abcdef",
    "x-user": "ann",
}


class ClientError(Exception):
    """The client is not there, or did not run; the text says what to do."""


@dataclass(frozen=True)
class Load:
    """What one run of the client saw: how many requests had another answer than they had to, and what it took."""

    wrong: int
    elapsed_ns: int
    client_cpu_ns: int


def program() -> str:
    """Returns the client's path; raises ClientError if it is not installed."""
    found = shutil.which(PROGRAM, path=os.environ.get("PATH", "") + ":/usr/bin")
    if not found:
        raise ClientError(f"{PROGRAM} is not on the path: tools/debian-install nghttp2-client")
    return found


def load(variant: Variant, port: int, protocol: str, requests: int, connections: int) -> Load:
    """Makes requests as fast as they are answered; raises ClientError if the client fails."""
    command = [program(), f"--requests={requests}", f"--clients={connections}"]
    command += ["--h1"] if protocol == HTTP1 else [f"--max-concurrent-streams={STREAMS}"]
    for name, value in HEADERS.items():
        command += ["--header", f"{name}: {value}"]
    command.append(f"http://127.0.0.1:{port}/path")
    before = os.times()
    started = time.monotonic_ns()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, preexec_fn=die_with_parent)
    elapsed = time.monotonic_ns() - started
    after = os.times()
    if done.returncode:
        raise ClientError(f"{PROGRAM} ended with status {done.returncode}: {done.stderr.strip()}")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return Load(_wrong(done.stdout, variant, requests), elapsed, round(spent * 1e9))


def _wrong(told: str, variant: Variant, requests: int) -> int:
    """Returns how many of the requests were not answered by 200 with a body of the right size; all, if the sizes do not add up."""
    statuses = re.search(r"^status codes: (\d+) 2xx", told, re.MULTILINE)
    size = re.search(r"^traffic: .*\((\d+)\) data$", told, re.MULTILINE)
    if not (statuses and size):
        raise ClientError(f"{PROGRAM} wrote what is not understood:\n{told}")
    wrong = requests - int(statuses[1])
    return wrong if wrong or int(size[1]) == requests * variant.body else requests


def ask(variant: Variant, port: int) -> str:
    """Makes one request and returns what is wrong with the answer; "" if nothing is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/path", headers=HEADERS)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    letter = b"b" if variant.name.startswith("body") else b"a"
    if (answer.status, body) != (200, letter * variant.body):
        return f"{variant.name}: {answer.status} with a body of {len(body)} bytes, {body[:8]!r}"
    if variant.header and answer.headers[variant.header[0]] != variant.header[1]:
        return f"{variant.name}: the header {variant.header[0]} is {answer.headers[variant.header[0]]!r}"
    return ""
