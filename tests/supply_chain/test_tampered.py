"""A package whose content is not what the lock file says stops the build, and the message names it: real Bazel, pip and npm."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

WORKSPACE = """\
load("//bazel:npm.bzl", "npm_packages")
load("//bazel:pip.bzl", "pip_wheels")

pip_wheels(name = "wheels", lock = "//:wheels.lock")
npm_packages(name = "npm", lock = "//:package-lock.json", package = "//:package.json")
local_repository(name = "wheels_node", path = "node")
"""
NODE = next(Path(os.path.abspath("..")).glob("*wheels_node/site"))


def a_wheel(directory: Path) -> str:
    """Writes the wheel of `plant` 1.0 and returns its sha256."""
    wheel = directory / "plant-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("plant.py", "leaves = 3\n")
        archive.writestr("plant-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: plant\nVersion: 1.0\n")
        archive.writestr("plant-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("plant-1.0.dist-info/RECORD", "")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def a_tarball() -> bytes:
    manifest = json.dumps({"name": "shrub", "version": "1.0.0"}).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/package.json")
        member.size = len(manifest)
        archive.addfile(member, io.BytesIO(manifest))
    return out.getvalue()


TARBALL = a_tarball()


def integrity(data: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()


@pytest.fixture
def registry() -> Iterator[str]:
    """A registry of one npm package, `shrub` 1.0.0, on loopback."""

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            where = f"http://{self.headers['Host']}/shrub.tgz"
            dist = {"tarball": where, "integrity": integrity(TARBALL)}
            version = {"name": "shrub", "version": "1.0.0", "dist": dist}
            document = {"name": "shrub", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
            body = TARBALL if self.path.endswith(".tgz") else json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


class Build:
    """A workspace that locks one wheel and one npm package, and a Bazel that fetches them."""

    def __init__(self, directory: Path, registry: str) -> None:
        self.directory, self.registry = directory, registry
        shutil.copytree("bazel", directory / "bazel", ignore=shutil.ignore_patterns("__pycache__"))
        (directory / "bazel" / "BUILD.bazel").write_text('exports_files(["unpack_wheels.py"])\n')
        (directory / "BUILD.bazel").touch()
        (directory / "WORKSPACE").write_text(WORKSPACE)
        node = directory / "node"
        node.mkdir()
        (node / "WORKSPACE").touch()
        (node / "BUILD.bazel").touch()
        (node / "site").symlink_to(NODE)
        (directory / "links").mkdir()
        self.lock_wheel(a_wheel(directory / "links"))
        self.lock_npm(integrity(TARBALL))

    def lock_wheel(self, sha256: str) -> None:
        (self.directory / "wheels.lock").write_text(f"plant==1.0 \\\n    --hash=sha256:{sha256}\n")

    def lock_npm(self, sha512: str) -> None:
        manifest = {"name": "tools", "dependencies": {"shrub": "1.0.0"}}
        packages = {"": manifest, "node_modules/shrub": {"version": "1.0.0", "integrity": sha512}}
        (self.directory / "package.json").write_text(json.dumps(manifest))
        lock = {"name": "tools", "lockfileVersion": 3, "requires": True, "packages": packages}
        (self.directory / "package-lock.json").write_text(json.dumps(lock))

    def fetch(self, repository: str) -> tuple[int, str]:
        bazel = shutil.which("bazel")
        assert bazel, "no bazel on the path"
        # With modules, repositories have longer names; those that Bazel's own tools name are not to be had without a network.
        modules = [] if NODE.parent.name == "wheels_node" else ["--noenable_bzlmod", "--enable_workspace"]
        startup = ["--batch", "--nohome_rc", "--host_jvm_args=-Xmx400m"]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "USER": "builder",
            "PROXY_WASM_PYTHON": sys.executable,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.directory / "links"),
            "npm_config_registry": self.registry,
        }
        output = self.directory.with_name("output")
        done = subprocess.run(
            [bazel, *startup, f"--output_base={output}", "query", *modules, f"@{repository}//:all"],
            cwd=self.directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout


@pytest.fixture
def build(tmp_path: Path, registry: str) -> Build:
    (tmp_path / "workspace").mkdir()
    return Build(tmp_path / "workspace", registry)


def test_what_the_locks_say_is_fetched(build: Build) -> None:
    for repository in ("wheels", "npm"):
        status, output = build.fetch(repository)
        assert status == 0, output


def test_a_tampered_wheel_stops_the_build(build: Build) -> None:
    build.lock_wheel("0" * 64)
    status, output = build.fetch("wheels")
    assert status != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in output
    assert "plant==1.0" in output and "wheels.lock" in output


def test_a_tampered_npm_package_stops_the_build(build: Build) -> None:
    build.lock_npm(integrity(b"something else"))
    status, output = build.fetch("npm")
    assert status != 0
    assert "EINTEGRITY" in output
    assert "node_modules/shrub" in output and "package-lock.json" in output
