"""One configuration of all examples' own: each envoy.yaml with other ports, another module and root ids, and nothing else changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from tests.envoy.guests.examples import root_id_of

ADMIN = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
_MARKS = count()
UPSTREAM = "upstream"  # the one name of a cluster that several examples have


def merged(examples: tuple[str, ...], module: Path) -> dict[str, Any]:
    """Returns one bootstrap configuration; a listener's name begins with its example's.

    Raises ValueError for two clusters of one name.
    """
    whole: dict[str, Any] = {
        "admin": ADMIN,
        "stats_config": {"stats_tags": []},
        "bootstrap_extensions": [],
        "static_resources": {"listeners": [], "clusters": []},
    }
    for example in examples:
        one = configuration(example, module)
        whole["stats_config"]["stats_tags"] += one.get("stats_config", {}).get("stats_tags", [])
        whole["bootstrap_extensions"] += one.get("bootstrap_extensions", [])
        for kind, entries in one.get("static_resources", {}).items():
            whole["static_resources"][kind] += entries
    names = [cluster["name"] for cluster in whole["static_resources"]["clusters"]]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"two examples have a cluster {twice}: what a plugin does not call is named {UPSTREAM}")
    return whole


def configuration(example: str, module: Path) -> dict[str, Any]:
    """Returns an example's own configuration, changed for being one among others."""
    read: dict[str, Any] = yaml.safe_load(Path(f"examples/{example}/envoy.yaml").read_text(encoding="utf-8"))
    resources = read.get("static_resources", {})
    mark = next(_MARKS)  # several Envoys may have the same example
    called = {port(address) for address in addresses(resources.get("clusters", []))}
    for address in addresses(read):
        if port(address) in called:
            # A name, so that no port is needed that is known beforehand.
            pipe = {"path": f"@{os.getpid()}.{mark}.{port(address)}"}
            address.clear()
            address["pipe"] = pipe
        else:
            address["socket_address"]["port_value"] = 0
    for entry in resources.get("listeners", []):
        entry["name"] = f"{example}.{entry['name']}"
    for mapping in mappings(read):
        for key in ("name", "cluster", "cluster_name"):
            if mapping.get(key) == UPSTREAM:
                mapping[key] = f"{example}.{UPSTREAM}"
        if "vm_config" in mapping:
            mapping["root_id"] = root_id_of(example, mapping.get("root_id"))
            mapping["vm_config"]["code"]["local"]["filename"] = str(module)
    return read


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Yields every mapping in a configuration, the outer ones first."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for item in list(value.values() if isinstance(value, dict) else value):
            yield from mappings(item)


def addresses(value: Any) -> list[dict[str, Any]]:
    """Returns every address in a configuration."""
    return [mapping for mapping in mappings(value) if "socket_address" in mapping]


def port(address: dict[str, Any]) -> int:
    """Returns an address's port."""
    return int(address["socket_address"]["port_value"])
