"""Runs the control plane, and writes what it pushes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envoy.process import die_with_parent

PROGRAM = Path(__file__).with_name("discovery_server.py")


class Node:
    """What the control plane knows of one Envoy."""

    def __init__(self, directory: Path, socket: Path, node_id: str) -> None:
        self.node_id, self._socket = node_id, socket
        self._directory = directory / node_id
        self._directory.mkdir()
        self._pushed = 0

    def push(self, kind: str, resources: list[dict[str, Any]]) -> str:
        """Writes all resources of a kind, such as "Listener"; returns the version, which is on its way then."""
        self._pushed += 1
        following = self._directory / "next"
        following.write_text(json.dumps({"version": str(self._pushed), "resources": resources}))
        following.rename(self._directory / f"{kind}.json")
        return str(self._pushed)

    def answers(self, version: str) -> list[dict[str, str]]:
        """Returns what Envoy said of a version: its `error` is empty if it was taken."""
        file = self._directory / "answers"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [line for line in lines if line["pushed"] == version]

    def bootstrap(self) -> dict[str, Any]:
        """Returns the parts of a configuration by which an Envoy gets all others from here."""
        endpoint = {"endpoint": {"address": {"pipe": {"path": str(self._socket)}}}}
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        http2 = {"@type": f"type.googleapis.com/{options}", "explicit_http_config": {"http2_protocol_options": {}}}
        cluster = {
            "name": "xds-grpc",
            "type": "STATIC",
            "connect_timeout": "1s",
            "typed_extension_protocol_options": {options: http2},
            "load_assignment": {"cluster_name": "xds-grpc", "endpoints": [{"lb_endpoints": [endpoint]}]},
        }
        source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
        service = [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]
        return {
            "node": {"id": self.node_id, "cluster": "client.default"},
            "static_resources": {"clusters": [cluster]},
            "dynamic_resources": {
                "ads_config": {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": service},
                "cds_config": source,
                "lds_config": source,
            },
        }


class ControlPlane:
    """A control plane that runs."""

    def __init__(self, work: Path) -> None:
        self.socket = work / "xds.sock"
        self._directory = work / "nodes"
        self._directory.mkdir()

    def node(self, node_id: str) -> Node:
        """Returns what there is for a new Envoy: nothing yet."""
        return Node(self._directory, self.socket, node_id)


def _site() -> Path:
    """Returns where the wheels are that the control plane alone imports. Each Bazel has its own name for their repository."""
    return Path(os.environ.get("XDS_SITE") or next(Path("..").glob("*wheels_xds/site"))).absolute()


@contextlib.contextmanager
def run(work: Path) -> Iterator[ControlPlane]:
    """Runs a control plane with its files in a directory, until the block ends."""
    control_plane = ControlPlane(work)
    command = [sys.executable, "-S", "-B", str(PROGRAM), str(control_plane.socket), str(work / "nodes")]
    process = subprocess.Popen(
        command,
        env={"PYTHONPATH": str(_site()), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            if not process.stdout.readline():
                raise RuntimeError("the control plane did not start; its error stands above")
            yield control_plane
        finally:
            process.kill()
            process.wait()
