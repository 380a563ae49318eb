"""Envoy takes the module from the registry by itself: the raw layer's digest is the module's."""

from __future__ import annotations

import hashlib
from pathlib import Path

from envoy import configuration, process, routers
from envoy.client import ask
from envoy.configuration import MAIN
from oci.registry import push
from tests.oci.conftest import Registry

MODULE = Path("filter/filter.wasm").absolute()
DIGEST = hashlib.sha256(MODULE.read_bytes()).hexdigest()
ROUTERS = ["egress-router1", "egress-router2"]
WRONG = "wrong"


def test_envoy_fetches_the_layer_by_its_digest(registry: Registry, tmp_path: Path) -> None:
    push(Path("filter/image_oci"), f"{registry.host}/tcp-routing:1.0-oci")
    with routers.run(ROUTERS) as ports:
        made = configuration.for_loopback(MODULE, ports, tmp_path / "access.log")
        configuration.add_cluster(made, "registry", [int(registry.host.rpartition(":")[2])])
        uri = f"http://{registry.host}/v2/tcp-routing/blobs/sha256:{DIGEST}"
        remote = {"http_uri": {"uri": uri, "cluster": "registry", "timeout": "30s"}, "sha256": DIGEST}
        configuration.plugin(made)["vm_config"]["code"] = {"remote": remote}
        wrong = configuration.add_listener(made, WRONG)["filter_chains"][0]["filters"][0]["typed_config"]["config"]
        wrong["vm_config"]["code"] = {"remote": {**remote, "sha256": "0" * 64}}
        wrong["vm_config"]["vm_id"] = WRONG
        with process.run(made, tmp_path) as envoy:
            for last, router in enumerate(ROUTERS, start=10):
                assert ask(envoy.listeners[MAIN], source=f"127.22.0.{last}")[0] == router
            assert ask(envoy.listeners[WRONG], source="127.22.0.10")[0] == ""
