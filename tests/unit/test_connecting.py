"""`proxy-wasm connect` and `run --docker`: the header that says a source, and the program that stands for Envoy."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from command import connecting, docker
from toolchain.tools import ToolchainError


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("172.22.0.10", b"PROXY TCP4 172.22.0.10 127.0.0.1 40000 %d\r\n"),
        ("172.22.0.10:77", b"PROXY TCP4 172.22.0.10 127.0.0.1 77 %d\r\n"),
        ("2001:db8::7", b"PROXY TCP6 2001:db8::7 ::1 40000 %d\r\n"),
        ("[2001:db8::7]:77", b"PROXY TCP6 2001:db8::7 ::1 77 %d\r\n"),
    ],
)
def test_the_header_comes_first_and_the_answer_is_shown(source: str, expected: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        received: list[bytes] = []

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                while not b"".join(received).endswith(b"the data"):
                    received.append(accepted.recv(1000))
                accepted.sendall(b"an answer")

        server = threading.Thread(target=serve)
        server.start()
        assert b"".join(connecting.connect(f"localhost:{port}", source, b"the data")) == b"an answer"
        server.join()
    assert b"".join(received) == expected % port + b"the data"


@pytest.mark.parametrize(
    ("target", "source", "message"),
    [
        ("127.0.0.1", "10.0.0.1", r"127\.0\.0\.1 is no ADDRESS:PORT"),
        ("127.0.0.1:99999", "10.0.0.1", "a port is a number below 65536"),
        ("127.0.0.1:1", "nobody", "nobody is no ADDRESS or ADDRESS:PORT"),
        ("127.0.0.1:1", "10.0.0.1", r"nobody listens on 127\.0\.0\.1:1: "),
    ],
)
def test_what_is_no_address_is_named(target: str, source: str, message: str) -> None:
    with pytest.raises(ToolchainError, match=message):
        list(connecting.connect(target, source, b""))


def a_docker(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = directory / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")


def test_docker_gets_envoys_command_line_and_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_docker(tmp_path, 'for word in "$@"; do echo "$word"; done', monkeypatch)
    program = docker.program("envoy:test", tmp_path)
    words = subprocess.run([program, "-c", "a file"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert words[:2] == ["run", "--rm"] and words[-3:] == ["envoy:test", "-c", "a file"]
    assert {"--network=host", "--entrypoint=envoy", f"--volume={tmp_path}:{tmp_path}"} <= set(words)


def test_without_docker_or_its_engine_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match="there is no program docker on the path"):
        docker.program(docker.IMAGE, tmp_path)
    a_docker(tmp_path, "echo nobody is there >&2; exit 1", monkeypatch)
    with pytest.raises(ToolchainError, match="Docker's engine does not answer: nobody is there"):
        docker.program(docker.IMAGE, tmp_path)
