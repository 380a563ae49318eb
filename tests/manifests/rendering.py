"""The manifests of `k8s/` as `kubectl apply -k` would send them: the pinned kubectl puts them together."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

K8S = Path("k8s")
FOLDERS = ["base", "envoyfilter", "gateway", "load", "overlay", "trafficextension", "wasmplugin"]
COMPONENTS = ["port-80", "proxy-protocol", "sni", "spare"]
EXCLUSIVE = {"sni", "spare"}
"""Both bring rules: one of them at most."""

_CLUSTER = re.compile(r"outbound\|[^|\"]+\|\|[\w.-]+")


def combinations() -> list[tuple[str, ...]]:
    """Returns all sets of components that go together."""
    every = (itertools.combinations(COMPONENTS, size) for size in range(len(COMPONENTS) + 1))
    return [chosen for chosen in itertools.chain(*every) if not set(chosen) >= EXCLUSIVE]


def kubectl() -> Path:
    """Returns the path of the pinned kubectl."""
    found = [path for directory in sys.path if (path := Path(directory, "bin", "kubectl")).is_file()]
    return found[0] if found else Path(shutil.which("kubectl") or "kubectl")


def render(folder: Path) -> list[Resource]:
    """Returns the resources of a kustomization."""
    command = [str(kubectl()), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def copied(work: Path) -> Path:
    """Copies `k8s/` without links: kubectl reads nothing that lies elsewhere."""
    return Path(shutil.copytree(os.path.abspath(K8S), work / "k8s"))


def with_components(k8s: Path, chosen: tuple[str, ...]) -> list[Resource]:
    """Returns the resources of `envoyfilter` with some components, as `overlay` has them."""
    folder = k8s / "-".join(["chosen", *chosen])
    folder.mkdir()
    made = {"resources": ["../envoyfilter"], "components": [f"../components/{name}" for name in chosen]}
    (folder / "kustomization.yaml").write_text(json.dumps(made))
    return render(folder)


def of_kind(resources: list[Resource], *kinds: str) -> list[Resource]:
    """Returns the resources of some kinds."""
    return [resource for resource in resources if resource["kind"] in kinds]


def clusters(value: Any) -> Iterator[str]:
    """Yields every name of an Istio cluster in a value."""
    yield from _CLUSTER.findall(json.dumps(value, ensure_ascii=False))


def containers(resources: list[Resource]) -> Iterator[dict[str, Any]]:
    """Yields the containers of all pods."""
    for workload in of_kind(resources, "Deployment", "Job"):
        yield from workload["spec"]["template"]["spec"]["containers"]


def plugin_configurations(resources: list[Resource]) -> Iterator[Any]:
    """Yields what the filter gets for a configuration, an object or a text."""
    for resource in of_kind(resources, "WasmPlugin"):
        yield resource["spec"]["pluginConfig"]
    for resource in of_kind(resources, "TrafficExtension"):
        yield resource["spec"]["wasm"]["pluginConfig"]
    for resource in of_kind(resources, "EnvoyFilter"):
        for patch in resource["spec"]["configPatches"]:
            value = patch["patch"].get("value", {})
            if value.get("name") == "envoy.filters.network.wasm":
                yield value["typed_config"]["config"]["configuration"]["value"]
