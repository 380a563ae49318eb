"""The table of what is measured. To measure one more thing, add one entry; every benchmark, table and plot follows."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODULES = Path(__file__).parent / "modules"
FILTER = Path(__file__).parent.parent / "filter" / "filter.wasm"

_KIND = "type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config"
_PARITY = 'source.address.matches("([02468]|[02468ace:]]):[0-9]+$") ? "egress-router1" : "egress-router2"'
_BY_PARITY = {
    "name": "envoy.filters.network.set_filter_state",
    "typed_config": {
        "@type": _KIND,
        "on_new_connection": [
            {
                "object_key": "envoy.tcp_proxy.cluster",
                "format_string": {"text_format_source": {"inline_string": f"%CEL({_PARITY})%"}},
            }
        ],
    },
}


@dataclass(frozen=True)
class Variant:
    """One way from the client to a router."""

    name: str
    title: str
    """What it is, in a few words, for tables and plots."""
    proxied: bool = True
    """Whether there is a proxy on the way at all."""
    routes: bool = True
    """Whether it chooses the router by the source; if not, the first router answers."""
    module: Path | None = None
    """A core module, binary or text, that runs in front of `tcp_proxy`."""
    network_filter: dict[str, Any] | None = None
    """A network filter of Envoy's own that does."""
    beyond: str = ""
    """The variant that does the same but for one thing."""
    adds: str = ""
    """What that thing is: the difference of the two is its cost."""
    rules: dict[str, Any] | None = None
    """The plugin's configuration, if it is not the one of `envoy.yaml`."""


def _rules(count: int, named: bool = False) -> dict[str, Any]:
    """Returns rules that route as the default one does, but that look at each source more closely: the last two decide."""
    blocks: list[dict[str, Any]] = [{"source_cidrs": [f"10.{number}.0.0/16"]} for number in range(count - 2)]
    even, odd = ({"cluster": cluster} for cluster in ("egress-router1", "egress-router2"))
    rules: list[dict[str, Any]] = [{"match": match, "action": even} for match in (*blocks, {"source_parity": "EVEN"})]
    rules.append({"match": {"source_parity": "ODD"}, "action": odd})
    for number, rule in enumerate(rules) if named else ():
        rule["name"] = f"rule{number}"
    return {"rules": rules}


BASELINE = Variant("baseline", "tcp_proxy alone", routes=False, adds="tcp_proxy")
NATIVE = Variant(
    "native", "set_filter_state with CEL, no Wasm", network_filter=_BY_PARITY, beyond="baseline", adds="CEL"
)
EMPTY = Variant(
    "empty",
    "a Wasm module that does nothing",
    routes=False,
    module=MODULES / "empty.wat",
    beyond="baseline",
    adds="Envoy's Wasm machinery",
)
FLOOR = Variant(
    "floor",
    "hand-written Wasm, the same host calls",
    module=MODULES / "floor.wat",
    beyond="empty",
    adds="host calls and routing",
)
UNTIERED = Variant(
    "untiered",
    "the Python filter without its cold tier",
    module=FILTER.with_name("wasm.snapshot.wasm"),
    beyond="floor",
    adds="Python, all compiled",
)
PYTHON = Variant("python", "the Python filter", module=FILTER, beyond="floor", adds="Python")

RULES = Variant(
    "rules",
    "the Python filter with 256 rules",
    module=FILTER,
    beyond="floor",
    adds="Python and rules",
    rules=_rules(256),
)

NAMED = Variant(
    "named",
    "the Python filter with 256 rules that have names: one host call more than the floor makes",
    module=FILTER,
    beyond="rules",
    adds="the rule's name for the access log",
    rules=_rules(256, named=True),
)

VARIANTS = (
    Variant("direct", "no proxy", proxied=False, routes=False),
    BASELINE,
    NATIVE,
    EMPTY,
    FLOOR,
    PYTHON,
)

HEAVY = (UNTIERED,)
"""What the report measures too, and whoever asks for it; starting it takes too long for tests."""

APART = (RULES, NAMED)
"""What the report measures in an Envoy of their own, and whoever asks for it."""


def another(given: str, directory: Path) -> Variant:
    """Returns the variant that NAME=FILE asks for: one more module that routes as the filter does, such as an older build of it.

    FILE is relative to `directory`. Raises ValueError for what is nothing of the kind.
    """
    name, equals, file = given.partition("=")
    module = directory / file
    if not (name and equals and module.is_file()):
        raise ValueError(f"one more module is given as NAME=FILE, and not {given!r}; is there a file {module}?")
    return Variant(name, module.name, module=module, beyond="floor", adds=name)


def add_options(parser: argparse.ArgumentParser, variants: bool = True) -> None:
    """Adds the options that choose what is measured, for `chosen` to read; without `variants` it is all of them."""
    names = [variant.name for variant in VARIANTS]
    every = names + [variant.name for variant in HEAVY]
    if variants:
        which = ",".join([*every, *(variant.name for variant in APART)])
        usual = f"(default: {','.join(names)})"
        parser.add_argument("--variants", default=",".join(names), help=f"which of {which} {usual}")
    else:
        parser.set_defaults(variants=",".join(every))
    parser.add_argument(
        "--module",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="one more module, such as an older build of the filter; may be given again",
    )


def chosen(options: argparse.Namespace) -> list[Variant]:
    """Returns what the options choose; raises ValueError for a variant or file that is not there."""
    by_name = {variant.name: variant for variant in (*VARIANTS, *HEAVY, *APART)}
    names = options.variants.split(",")
    if unknown := [name for name in names if name not in by_name]:
        raise ValueError(f"there is no variant {unknown[0]!r}; there are {', '.join(by_name)}")
    here = Path(os.environ.get("BUILD_WORKING_DIRECTORY", ""))
    found = [variant for name, variant in by_name.items() if name in names]
    return found + [another(given, here) for given in options.module]


def chain(variant: Variant, variants: Iterable[Variant]) -> list[Variant]:
    """Returns what a variant's cost is made of: itself, last, and before it each variant that it goes beyond."""
    by_name = {other.name: other for other in variants}
    parts = [variant]
    while parts[0].beyond:
        parts.insert(0, by_name[parts[0].beyond])
    return parts
