"""Many plugins, or many Envoys, on one control plane: `./bazelw run //tests/mesh:scale -- --plugins 200`.

It tells how long it takes until all plugins are there, what they weigh, and how many updates of a configuration are taken in a second.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envoy import memory, process
from envoy.waiting import wait_for
from tests.mesh import control_plane, fleet, istio_sidecar
from tests.mesh.control_plane import Node

SETTINGS = ("Envoys", "plugins in each", "VMs")
MEGABYTE = 1 << 20
MODULE = Path(os.environ.get("FILTER_WASM", "filter/filter.wasm")).absolute()
_PATIENCE_SECONDS = 1200.0
_KIND = istio_sidecar.TYPES + "extensions.filters.network.wasm.v3.Wasm"
_TICKS = os.sysconf("SC_CLK_TCK")


def machine() -> str:
    """Returns the processor's model, and how busy the machine is."""
    model = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = model[1] if model else platform.machine()
    return f"{name}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"


def name(plugin: int) -> str:
    """Returns a plugin's name."""
    return f"plugin-{plugin}"


def listeners(plugins: int) -> list[dict[str, Any]]:
    """Returns a listener for each plugin, whose configuration comes by ECDS."""
    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    found = []
    for plugin in range(plugins):
        discovered = {"name": name(plugin), "config_discovery": {"config_source": source, "type_urls": [_KIND]}}
        filters = [discovered, istio_sidecar.tcp_proxy(istio_sidecar.BLACK_HOLE)]
        del filters[1]["typed_config"]["access_log"]
        made = istio_sidecar.listener("127.0.0.1", 0, [{"filters": filters}], name=name(plugin), bind_to_port=True)
        found.append(made)
    return found


def extensions(plugins: int, own_vms: bool, version: int, changed: int) -> list[dict[str, Any]]:
    """Returns all plugins' configurations; the first `changed` ones are those of a version."""
    found = []
    for plugin in range(plugins):
        cluster = f"version-{version if plugin < changed else 0}"
        rules = {"rules": [{"match": {"source_parity": "EVEN"}, "action": {"cluster": cluster}}]}
        config = {
            "name": name(plugin),
            "root_id": name(plugin),
            "configuration": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": rules},
            "vm_config": {
                "vm_id": name(plugin) if own_vms else "shared",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": str(MODULE)}},
            },
        }
        found.append({"name": name(plugin), "typed_config": {"@type": _KIND, "config": config}})
    return found


@dataclass
class Fleet:
    """Envoys that hang on one control plane."""

    nodes: list[Node]
    envoys: list[process.Envoy]

    def processor_seconds(self) -> float:
        """Returns what all Envoys have used until now."""
        return sum(_processor_seconds(envoy.process.pid) for envoy in self.envoys)

    def push(self, kind: str, resources: list[dict[str, Any]]) -> None:
        """Pushes the same to all, and waits until all have taken it; raises RuntimeError if one refuses."""
        versions = [(node, node.push(kind, resources)) for node in self.nodes]
        if not wait_for(lambda: all(node.answers(version) for node, version in versions), _PATIENCE_SECONDS):
            raise RuntimeError(f"not all have answered after {_PATIENCE_SECONDS:.0f} s")
        for node, version in versions:
            if error := node.answers(version)[-1]["error"]:
                raise RuntimeError(f"{node.node_id} refuses: {error}")

    def wait_for_listeners(self, count: int) -> None:
        """Waits until all have so many listeners; raises RuntimeError if that does not come to be."""
        if not wait_for(lambda: all(_listeners(envoy) >= count for envoy in self.envoys), _PATIENCE_SECONDS):
            raise RuntimeError(f"not all have {count} listeners after {_PATIENCE_SECONDS:.0f} s")

    def resident(self) -> float:
        """Returns the resident memory of an Envoy in the mean, in MiB."""
        return sum(memory.resident(envoy.process.pid) for envoy in self.envoys) / len(self.envoys) / MEGABYTE


def _listeners(envoy: process.Envoy) -> int:
    # It answers nobody while it makes plugins.
    with contextlib.suppress(TimeoutError):
        return envoy.counter("listener_manager.listener_create_success")
    return 0


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextlib.contextmanager
def _fleet(count: int) -> Any:
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scale-", dir="/tmp")))
        plane = stack.enter_context(control_plane.run(work))
        nodes, envoys = [], []
        for index in range(count):
            node = plane.node(f"envoy-{index}")
            node.push("Cluster", [istio_sidecar.static(istio_sidecar.BLACK_HOLE, [])])
            node.push("Listener", [])
            directory = work / node.node_id
            directory.mkdir()
            configuration = {"admin": {"address": istio_sidecar.address("127.0.0.1", 0)}, **node.bootstrap()}
            envoys.append(stack.enter_context(process.run(configuration, directory, log_level="warning")))
            nodes.append(node)
        yield Fleet(nodes, envoys)


def measure(options: argparse.Namespace) -> dict[str, str]:
    """Runs everything and returns the table."""
    plugins, count = options.plugins, options.envoys
    table = {"date": datetime.date.today().isoformat(), "machine": machine(), "module": str(MODULE.stat().st_size)}
    table |= {"Envoys": str(count), "plugins in each": str(plugins)}
    table["VMs"] = "one for each plugin" if options.own_vms else "one for all plugins"
    with _fleet(count) as fleet:
        empty, used, started = fleet.resident(), fleet.processor_seconds(), time.monotonic()
        for node in fleet.nodes:
            node.push("Listener", listeners(plugins))
        fleet.push("TypedExtensionConfig", extensions(plugins, options.own_vms, 0, plugins))
        fleet.wait_for_listeners(plugins)
        table["start: until all plugins are there"] = f"{time.monotonic() - started:.1f} s"
        spent = (fleet.processor_seconds() - used) / count
        table["start: processor time of an Envoy"] = f"{spent:.1f} s"
        table["memory of an Envoy without plugins, and with them"] = f"{empty:.0f} and {fleet.resident():.0f} MiB"
        for changed in sorted({plugins, 1}, reverse=True):
            used, started = fleet.processor_seconds(), time.monotonic()
            for update in range(options.updates):
                fleet.push("TypedExtensionConfig", extensions(plugins, options.own_vms, update + 1, changed))
            seconds, updates = time.monotonic() - started, options.updates * changed * count
            spent = (fleet.processor_seconds() - used) / updates * 1000
            what = f"updates of {changed} plugins at a time" if changed > 1 else "updates of one plugin at a time"
            table[what] = f"{updates / seconds:.1f} a second, {spent:.2f} ms of Envoy's processor time each"
        table["memory after all updates"] = f"{fleet.resident():.0f} MiB"
    return table


def main() -> None:
    """Reads the command line, measures, prints the table, and puts it into the record of last runs."""
    parser = argparse.ArgumentParser(prog="scale", description="Many plugins, or many Envoys, on one control plane.")
    parser.add_argument("--plugins", type=int, default=200, help="in each Envoy")
    parser.add_argument("--envoys", type=int, default=1)
    parser.add_argument("--updates", type=int, default=20, help="how many pushes are measured")
    parser.add_argument("--own-vms", action="store_true", help="each plugin has a VM of its own")
    table = measure(parser.parse_args())
    for what, value in table.items():
        print(f"{what}: {value}", flush=True)
    root = Path(os.environ.get("PROXY_WASM_WORKSPACE", "."))
    runs = fleet.read(root) | {", ".join(f"{what}: {table[what]}" for what in SETTINGS): table}
    (root / fleet.RECORD).write_text(json.dumps(runs, indent=2, sort_keys=True) + "\n")
    fleet.write(root)


if __name__ == "__main__":
    main()
