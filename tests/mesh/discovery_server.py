"""A control plane: gives each Envoy the clusters, listeners and extensions that are written for it, over one stream, as Istio does.

`discovery_server.py SOCKET DIRECTORY` runs by itself, on a path of its own: the package `envoy` of its messages is not the project's.
DIRECTORY has a folder for each Envoy, named after the node's id. `Listener.json` there, and the like, has a version and the resources;
when it is moved into place it is pushed. What Envoy thinks of a push becomes a line of `answers`.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import queue
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

# mypy must not look for these: it would find the project's own `envoy`.
grpc: Any = importlib.import_module("grpc")
any_pb2: Any = importlib.import_module("google.protobuf.any_pb2")
json_format: Any = importlib.import_module("google.protobuf.json_format")
discovery: Any = importlib.import_module("envoy.service.discovery.v3.discovery_pb2")

URL = "type.googleapis.com/"
# In the order in which Istio pushes them: nothing is named before it is there.
KINDS = {
    "Cluster": "envoy.config.cluster.v3.cluster_pb2",
    "Listener": "envoy.config.listener.v3.listener_pb2",
    "TypedExtensionConfig": "envoy.config.core.v3.extension_pb2",
}
MESSAGES = {kind: getattr(importlib.import_module(module), kind) for kind, module in KINDS.items()}
TYPES = {URL + message.DESCRIPTOR.full_name: kind for kind, message in MESSAGES.items()}
ON_DEMAND = "TypedExtensionConfig"
"""The kind of which an Envoy gets what it asks for by name; of the others it gets everything."""
POLL_SECONDS = 0.01
STREAMS = 512


def load_types(value: Any) -> None:
    """Imports the messages that are named by `@type`, at any depth."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        load_types(item)
    if isinstance(value, dict) and "@type" in value:
        package = value["@type"].removeprefix(URL).rpartition(".")[0]
        if not package.startswith("google."):
            for found in pkgutil.iter_modules(importlib.import_module(package).__path__, package + "."):
                importlib.import_module(found.name)


def packed(resource: dict[str, Any], kind: str) -> Any:
    """Returns a resource as what a response holds."""
    load_types(resource)
    made = any_pb2.Any()
    made.Pack(json_format.ParseDict(resource, MESSAGES[kind]()))
    return made


class Stream:
    """One Envoy's stream: what it asked for, and which versions it was sent."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._wanted: dict[str, list[str]] = {}
        self._sent: dict[str, str] = {}
        self._read: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}
        self._nonce = 0

    def requested(self, request: Any) -> None:
        """Notes what Envoy asks for, and what it thinks of the last push."""
        kind = TYPES.get(request.type_url)
        if kind is None:
            return
        if request.response_nonce:
            # An Envoy that refuses a version answers with the one that it still has.
            answer = {"kind": kind, "version": request.version_info, "error": request.error_detail.message}
            with (self._directory / "answers").open("a") as answers:
                answers.write(json.dumps(answer | {"pushed": self._sent.get(kind, "")}) + "\n")
        names = list(request.resource_names)
        if kind == ON_DEMAND and self._wanted.get(kind) != names:
            self._sent.pop(kind, None)
        self._wanted[kind] = names

    def pushes(self) -> Iterator[Any]:
        """Yields a response for each kind that Envoy asked for and does not have in this version."""
        for kind in MESSAGES:
            if kind not in self._wanted or (state := self._state(kind)) is None:
                continue
            if self._sent.get(kind) == state["version"]:
                continue
            names = self._wanted[kind]
            chosen = [r for r in state["resources"] if kind != ON_DEMAND or r["name"] in names]
            if kind == ON_DEMAND and not chosen:
                continue
            self._sent[kind] = state["version"]
            self._nonce += 1
            yield discovery.DiscoveryResponse(
                version_info=state["version"],
                type_url=URL + MESSAGES[kind].DESCRIPTOR.full_name,
                resources=[packed(resource, kind) for resource in chosen],
                nonce=str(self._nonce),
            )

    def _state(self, kind: str) -> dict[str, Any] | None:
        file = self._directory / f"{kind}.json"
        if not file.exists():
            return None
        status = file.stat()
        # Two pushes may be written in one tick of the clock, but never into one file.
        seen = (status.st_mtime_ns, status.st_ino)
        if kind not in self._read or self._read[kind][0] != seen:
            self._read[kind] = (seen, json.loads(file.read_text()))
        return self._read[kind][1]


def serve(directory: Path, requests: Iterator[Any], context: Any) -> Iterator[Any]:
    """Answers one Envoy until it goes away."""
    first = next(requests)
    stream = Stream(directory / first.node.id)
    arrived: queue.Queue[Any] = queue.Queue()
    arrived.put(first)

    def receive() -> None:
        try:
            for request in requests:
                arrived.put(request)
        except grpc.RpcError:
            pass  # Envoy is gone, and the context is not active any more

    threading.Thread(target=receive, daemon=True).start()
    while context.is_active():
        try:
            stream.requested(arrived.get(timeout=POLL_SECONDS))
        except queue.Empty:
            yield from stream.pushes()


def main(socket: str, directory: str) -> None:
    """Serves until it is ended."""
    method = grpc.stream_stream_rpc_method_handler(
        lambda requests, context: serve(Path(directory), requests, context),
        request_deserializer=discovery.DiscoveryRequest.FromString,
        response_serializer=discovery.DiscoveryResponse.SerializeToString,
    )
    service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
    server = grpc.server(futures.ThreadPoolExecutor(STREAMS))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(service, {"StreamAggregatedResources": method})]
    )
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    # What Envoy's own user has to do with it.
    Path(socket).chmod(0o777)
    print("ready", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:3])
