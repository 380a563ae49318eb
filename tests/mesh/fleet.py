"""What a fleet of sidecars takes, by multiplication of what `scale` measured on one machine: `docs/fleet.md`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

RECORD, PAGE = Path("tests/mesh/scale.json"), Path("docs/fleet.md")
FLEETS = (1_000, 10_000)
PODS_ON_A_NODE = 30
LEAST = 50
"""So many Envoys on one control plane are asked for, at least."""

Table = Mapping[str, str]

_HEAD = """\
# A fleet of sidecars, on paper

<!-- Generated from tests/mesh/scale.json by `./bazelw run //tests/mesh:scale`: do not edit. -->

No cluster ran here. [`//tests/mesh:scale`](../tests/mesh/README.md#scale) measured Envoys with the filter on one machine, and one control
plane that feeds them by ADS. This page has what it measured, and multiplies it.

## Measured

Each Envoy has one worker. The control plane and all Envoys share the machine's processors.
"""
_FLEET = """
## Multiplied

An Envoy with one plugin, {pods} pods on a node, and the module of that run, which has {module}. A second worker adds a VM, and so memory.

"""
_TAIL = """
An image volume is pulled once a node, and the node keeps it. A WasmPlugin's module is fetched by each pod, at each start. The processor
time is that of the machine above. A thousand sidecars that start at once on a thousand processors take as long as one. The rate of updates
is what one machine did that ran the Envoys, too: their own processor time is most of it.
"""


def rows(header: list[str], *lines: list[str]) -> str:
    """Returns a table in Markdown."""
    every = [header, ["---"] * len(header), *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in every)


def numbers(text: str) -> list[float]:
    """Returns the numbers in a text."""
    return [float(found) for found in re.findall(r"\d+(?:\.\d+)?", text)]


def page(runs: Mapping[str, Table]) -> str:
    """Returns the page; raises ValueError if no run has one plugin in enough Envoys."""
    many = [run for run in runs.values() if int(run["Envoys"]) >= LEAST and run["plugins in each"] == "1"]
    if not many:
        raise ValueError(f"no run has a plugin in each of {LEAST} Envoys: --plugins 1 --envoys {LEAST}")
    run = max(many, key=lambda found: int(found["Envoys"]))
    module = f"{int(run['module']) / 1e6:.1f} MB"
    return _HEAD + _measured(runs) + _FLEET.format(pods=PODS_ON_A_NODE, module=module) + _multiplied(run) + _TAIL


def _measured(runs: Mapping[str, Table]) -> str:
    every = sorted(runs.values(), key=lambda run: (int(run["Envoys"]), int(run["plugins in each"])))
    names = list(dict.fromkeys(name for run in every for name in run))
    settings = [name for name in ("Envoys", "plugins in each", "VMs") if name in names]
    others = [name for name in sorted(names) if name not in (*settings, "module")]
    return "".join(
        f"\n### {', '.join(f'{name}: {run[name]}' for name in settings)}\n\n"
        + rows(["what", "measured"], *([name, run[name]] for name in others if name in run))
        for run in every
    )


def _multiplied(run: Table) -> str:
    module = int(run["module"])
    without, added = numbers(run["memory of an Envoy without plugins, and with them"])
    (started,) = numbers(run["start: processor time of an Envoy"])
    rate, each = numbers(run["updates of one plugin at a time"])

    def column(pods: int) -> list[str]:
        nodes = math.ceil(pods / PODS_ON_A_NODE)
        return [
            f"{nodes * module / 1e9:.2f} GB",
            "nothing",
            f"{pods * module / 1e9:.1f} GB",
            f"{pods * module / 1e9:.1f} GB",
            f"{pods * (added - without) / 1024:.0f} GiB",
            f"{pods * started / 3600:.2f} h",
            f"{pods * each / 1000:.0f} s",
            f"{pods / rate / 60:.1f} min",
        ]

    names = [
        "pulled, as an image volume",
        "pulled when all pods start again on the same nodes",
        "pulled, as a WasmPlugin",
        "pulled when all pods start again",
        "memory that the filter adds",
        "processor time to start",
        "processor time to take new rules",
        "new rules in all of them, at the rate measured",
    ]
    columns = [column(pods) for pods in FLEETS]
    header = ["of the whole fleet", *(f"{pods:,} sidecars" for pods in FLEETS)]
    return rows(header, *([name, *cells] for name, *cells in zip(names, *columns, strict=True)))


def read(root: Path) -> dict[str, dict[str, str]]:
    """Returns the last runs."""
    found: dict[str, dict[str, str]] = json.loads((root / RECORD).read_text(encoding="utf-8"))
    return found


def write(root: Path) -> None:
    """Writes the page."""
    (root / PAGE).write_text(page(read(root)), encoding="utf-8")
