"""What a real API server says of the manifests, of wrong ones, and of a module in a ConfigMap."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api_server import server
from tests.api_server.server import Done, Server
from tests.manifests.rendering import Resource, copied, of_kind, render
from tests.manifests.schemas import crds

MODULE = Path(os.environ.get("FILTER_WASM", "filter/filter.wasm")).absolute()
FOLDERS = ["base", "envoyfilter", "overlay", "wasmplugin", "trafficextension"]
"""Not `gateway`: this server is older than image volumes and policy/v1."""


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that knows Istio's kinds. What is missing fails: a proof that skips proves nothing."""
    if reason := server.missing():
        pytest.fail(reason)
    if not crds().is_file():
        pytest.fail(f"Istio's definitions are not at {crds()}")
    with server.run(tmp_path_factory.mktemp("api-server")) as running:
        # Newer kubectls ask for a validation that this server does not have.
        defined = running.kubectl("create", "--validate=false", "--filename", str(crds()))
        assert defined.succeeded, defined.text
        yield running


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Resource]]:
    k8s = copied(tmp_path_factory.mktemp("manifests"))
    return {folder: render(k8s / folder) for folder in FOLDERS}


def applied(kubernetes: Server, resources: list[Resource]) -> Done:
    """Has resources taken, or refused."""
    listed = {"apiVersion": "v1", "kind": "List", "items": resources}
    return kubernetes.kubectl("apply", "--filename=-", stdin=json.dumps(listed))


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_manifests_are_taken_and_are_there(
    kubernetes: Server, rendered: dict[str, list[Resource]], folder: str
) -> None:
    # As README.md has it before each apply.
    assert kubernetes.kubectl("delete", "job", "client-check", "--ignore-not-found").succeeded
    done = applied(kubernetes, rendered[folder])
    assert done.succeeded, done.text
    for resource in rendered[folder]:
        group = resource["apiVersion"].rpartition("/")[0]
        kind = ".".join(filter(None, [resource["kind"].lower(), resource["apiVersion"].rpartition("/")[2], group]))
        kind = kind if group else resource["kind"].lower()
        found = kubernetes.kubectl("get", kind, resource["metadata"]["name"], "--namespace=default", "--output=json")
        assert found.succeeded, found.text
        if "pluginConfig" in resource.get("spec", {}):
            assert json.loads(found.text)["spec"]["pluginConfig"] == resource["spec"]["pluginConfig"]


def test_a_job_that_is_there_cannot_be_changed(kubernetes: Server, rendered: dict[str, list[Resource]]) -> None:
    assert kubernetes.kubectl("delete", "job", "client-check", "--ignore-not-found").succeeded
    assert applied(kubernetes, rendered["envoyfilter"]).succeeded
    assert applied(kubernetes, rendered["envoyfilter"]).succeeded
    done = applied(kubernetes, rendered["base"])
    assert not done.succeeded and "field is immutable" in done.text


def test_the_quick_starts_own_commands(kubernetes: Server, rendered: dict[str, list[Resource]], tmp_path: Path) -> None:
    overlay = str(copied(tmp_path) / "overlay")
    assert kubernetes.kubectl("delete", "job", "client-check", "--ignore-not-found").succeeded
    for words in (["apply", "--kustomize", overlay], ["apply", "--kustomize", overlay]):
        done = kubernetes.kubectl(*words)
        assert done.succeeded, done.text
    done = kubernetes.kubectl("delete", "--kustomize", overlay, "--wait=false")
    assert done.succeeded, done.text
    left = kubernetes.kubectl("get", "deployments,jobs,services,networkpolicies,envoyfilters", "--output=name")
    named = {resource["metadata"]["name"] for resource in rendered["overlay"]}
    assert left.succeeded and not {line.rpartition("/")[2] for line in left.text.split()} & named


def change(path: str, value: Any) -> Callable[[Resource], None]:
    """Returns what sets a field below `spec`."""

    def changed(resource: Resource) -> None:
        *parents, last = path.split(".")
        place: Any = resource["spec"]
        for step in parents:
            place = place[int(step)] if isinstance(place, list) else place[step]
        place[last] = value

    return changed


@pytest.mark.parametrize(
    ("folder", "kind", "path", "value"),
    [
        ("wasmplugin", "WasmPlugin", "type", "NETWROK"),
        ("wasmplugin", "WasmPlugin", "pluginConfig", "istio"),
        ("wasmplugin", "WasmPlugin", "failStrategy", "FAIL_CLOSED"),
        ("wasmplugin", "WasmPlugin", "sha256", "1234"),
        ("envoyfilter", "EnvoyFilter", "configPatches.0.applyTo", "NETWORKFILTER"),
        ("envoyfilter", "EnvoyFilter", "configPatches.0.match.context", "OUTBOUND"),
        ("base", "Deployment", "replicas", "two"),
        ("base", "NetworkPolicy", "policyTypes", ["Egres"]),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_fields_name(
    kubernetes: Server, rendered: dict[str, list[Resource]], folder: str, kind: str, path: str, value: Any
) -> None:
    wrong = copy.deepcopy(of_kind(rendered[folder], kind)[0])
    wrong["metadata"]["name"] = "wrong"
    change(path, value)(wrong)
    done = applied(kubernetes, [wrong])
    assert not done.succeeded
    assert path.rpartition(".")[2] in done.text


def test_the_module_does_not_fit_into_a_config_map(kubernetes: Server) -> None:
    words = ["create", "configmap", "module", f"--from-file=plugin.wasm={MODULE}"]
    done = kubernetes.kubectl(*words)
    assert not done.succeeded
    assert "too large" in done.text or "Too long" in done.text


def test_something_smaller_does(kubernetes: Server, tmp_path: Path) -> None:
    (tmp_path / "small.wasm").write_bytes(MODULE.read_bytes()[: 512 * 1024])
    done = kubernetes.kubectl("create", "configmap", "small", f"--from-file={tmp_path / 'small.wasm'}")
    assert done.succeeded, done.text
