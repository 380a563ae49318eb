"""What many plugins in one Envoy take: the same module with a configuration each, in one VM or in a VM for each plugin."""

from __future__ import annotations

import copy
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import load, proxy
from bench.measure import startup
from bench.variants import BASELINE, PYTHON, Variant
from envoy import configuration
from envoy.process import EnvoyError

_CONNECTIONS = 4
"""Connections to each listener, from even and odd sources."""

_VM_BYTES = 60_000_000
"""What an Envoy with one worker may take for one more VM: there are three of each."""


@dataclass(frozen=True)
class Setting:
    """How many plugins there are in an Envoy, and whether each has a VM of its own."""

    plugins: int
    own_vms: bool = False
    wasm: bool = True

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        if not self.wasm:
            return f"{self.plugins} listeners, no Wasm"
        return f"{self.plugins} plugins, " + ("a VM for each" if self.own_vms else "one VM")


def _settings(in_one_vm: int, in_own_vms: int) -> tuple[Setting, ...]:
    """Returns both ways to run plugins, each after as many listeners without any."""
    bare = [Setting(count, wasm=False) for count in dict.fromkeys((in_one_vm, in_own_vms))]
    return (*bare, Setting(in_one_vm), Setting(in_own_vms, own_vms=True))


FULL = _settings(200, 200)
QUICK = _settings(50, 10)
TINY = _settings(3, 2)


def measure(settings: Sequence[Setting], routers: load.Routers, told: Callable[[float], None]) -> list[dict[str, Any]]:
    """Starts an Envoy with each setting and returns what each took, and how many connections it made.

    `each` is the bytes that a plugin takes over as many listeners without one. `error` says why a setting was not measured.
    """
    found = []
    bare: dict[int, float] = {}
    for index, setting in enumerate(settings):
        made: dict[str, Any] = {"title": setting.title, "error": _too_big(setting), "each": None}
        made |= {"connections": 0, "misroutes": 0, "unanswered": 0}
        if not made["error"]:
            try:
                made |= asdict(_start(setting, routers))
            except EnvoyError as error:
                made["error"] = f"not measured: {str(error).partition(chr(10))[0]}"
        if not made["error"] and not setting.wasm:
            bare[setting.plugins] = made["resident"]
        elif not made["error"] and setting.plugins in bare:
            made["each"] = (made["resident"] - bare[setting.plugins]) / setting.plugins
        found.append(made)
        told((index + 1) / len(settings))
    return found


def _too_big(setting: Setting) -> str:
    """Returns why this machine has no room for a setting, or nothing."""
    available = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    needed = setting.plugins * _VM_BYTES if setting.own_vms else 0
    if available and int(available[1]) * 1024 < needed:
        return f"not measured: it may take {needed / 1e9:.1f} GB, and less is free"
    return ""


def _start(setting: Setting, routers: load.Routers) -> startup.Start:
    with tempfile.TemporaryDirectory(prefix="bench-plugins-") as name:
        work = Path(name)
        variant = PYTHON if setting.wasm else BASELINE
        return startup.start_with(configured(setting, variant, routers, work), work, variant, _CONNECTIONS)


def configured(setting: Setting, variant: Variant, routers: load.Routers, work: Path) -> configuration.Configuration:
    """Returns Envoy's configuration with a listener for each plugin."""
    made = proxy.configured([variant], routers.ports, work)
    [template] = made["static_resources"]["listeners"]
    listeners = [copy.deepcopy(template) | {"name": f"plugin-{number}"} for number in range(setting.plugins)]
    made["static_resources"]["listeners"] = listeners
    for listener in listeners if setting.wasm else []:
        config = configuration.plugin(made, listener["name"])
        config["root_id"] = listener["name"]
        config["configuration"] = _rules(listener["name"])
        config["vm_config"]["vm_id"] = listener["name"] if setting.own_vms else "shared"
    return made


def _rules(name: str) -> dict[str, Any]:
    """Returns a plugin's own rules, which route by parity."""
    even, odd = ({"cluster": cluster} for cluster in proxy.ROUTERS)
    value = {"rules": [{"name": name, "match": {"source_parity": "EVEN"}, "action": even}], "default_action": odd}
    return {"@type": proxy.STRUCT, "value": value}
