"""The YAML and JSON examples of the project's documents, and where in Envoy's configuration each belongs.

All of it stays text, so that Envoy's own reader reads what people copy. PyYAML only tells a block's outermost keys.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

TYPES = "type.googleapis.com/"
NETWORK = TYPES + "envoy.extensions.filters.network."
# A block without a language is an example if it begins like a mapping: "rules:", "- {name: x", '{"rules":', "@type: x".
_LIKE_YAML = re.compile(r"""(- )?['"]?@?\w+['"]?:(\s|$)|- \{|\{\s*(["\w}]|$)""")
_FENCE = re.compile(r"( *)(```+|~~~+) *(\S*)")
# A programming language, a shell, plain output: whatever is no data.
_OTHER_LANGUAGES = {"python", "sh", "text", "mermaid", "proto", "starlark", "c", "toml", "diff"}

# What an example is, by an outermost key that tells it; the first that is there counts.
_KINDS = {
    "apiVersion": "data",  # Kubernetes'
    "origin": "data",  # a router's answer
    "static_resources": "bootstrap",
    "dynamic_resources": "bootstrap",
    "watchdogs": "bootstrap",
    "overload_manager": "bootstrap",
    "stats_config": "bootstrap",
    "stats_sinks": "bootstrap",
    "resources": "discovered",
    "config_discovery": "filter",
    "typed_config": "filter",
    "configuration": "plugin",
    "capability_restriction_config": "plugin",
    "failure_policy": "plugin",
    "vm_config": "plugin",
    "code": "vm",
    "rules": "policy",
    "default_action": "policy",
    "preset": "policy",
    "match": "rule",
    "action": "rule",
    "max_early_data_bytes": "tcp_proxy",
    "weighted_clusters": "tcp_proxy",
}


@dataclass(frozen=True)
class Example:
    """A block of a document: where it stands and its text, without the indentation."""

    document: str
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """The place, as a link to it would name it."""
        return f"{self.document}:{self.line}"

    @property
    def kind(self) -> str:
        """What the example is; raises ValueError if that cannot be told, and YAMLError if it is no YAML."""
        keys = list(yaml.safe_load(self.parts()[0]))
        found = next((kind for key, kind in _KINDS.items() if key in keys), None)
        if found is None:
            raise ValueError(
                f"{self.name}: where do {keys} belong in Envoy's configuration? Say so in tests/envoy/documents.py."
            )
        return found

    def parts(self) -> list[str]:
        """Returns the documents of a YAML stream, or the lines of several JSON texts."""
        if all(line.startswith("{") and line.endswith("}") for line in self.text.splitlines()):
            return self.text.splitlines()
        return re.split(r"^---\n", self.text, flags=re.MULTILINE)


def blocks(document: str, text: str) -> Iterator[Example]:
    """Yields every fenced and every indented block."""
    lines = text.splitlines()
    place = 0
    while place < len(lines):
        fence = _FENCE.fullmatch(lines[place])
        start = place + 1 if fence else place
        if fence:
            end = next(i for i in range(start, len(lines)) if lines[i].strip() == fence[2])
            place = end + 1
        elif lines[place].startswith("    ") and not lines[place - 1].strip():
            end = start
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            place = end
        else:
            place += 1
            continue
        block = textwrap.dedent("\n".join(lines[start:end])).strip("\n")
        yield Example(document, start + 1, fence[3] if fence else "", block)


def examples(document: str, text: str) -> list[Example]:
    """Returns the blocks that are YAML or JSON, by their language or by how they begin; raises ValueError for an unknown language."""
    found = []
    for block in blocks(document, text):
        if block.language in _OTHER_LANGUAGES:
            continue
        if block.language not in ("", "yaml", "json"):
            raise ValueError(f"{block.name}: what language is {block.language!r}? Say so in tests/envoy/documents.py.")
        first = next(line for line in block.text.splitlines() if not line.startswith("#"))
        if block.language or _LIKE_YAML.match(first):
            found.append(block)
    return found


def read(documents: list[Path]) -> list[Example]:
    """Returns the examples of some documents."""
    return [
        example for document in documents for example in examples(str(document), document.read_text(encoding="utf-8"))
    ]


# ---- from an example to what surrounds it


def under(key: str, text: str) -> str:
    """Returns a mapping's entry with a nested value."""
    return f"{key}:\n{textwrap.indent(text, '  ')}\n"


def entry(text: str) -> str:
    """Returns an entry of a list."""
    return f"- {textwrap.indent(text, '  ')[2:]}\n"


def _completed(text: str, defaults: dict[str, str]) -> str:
    """Adds the entries that an example leaves out."""
    given = yaml.safe_load(text) or {}
    return text + "".join(f"\n{key}: {value}" for key, value in defaults.items() if key not in given)


def _vm(text: str, module: Path) -> str:
    local = f"{{local: {{filename: {module}}}}}"
    return _completed(text, {"vm_id": "examples", "runtime": "envoy.wasm.runtime.v8", "code": local})


def plugin(text: str, name: str, module: Path) -> str:
    """Returns a whole PluginConfig that holds the entries of an example."""
    head, nested, rest = text.partition("vm_config:\n")
    if nested:
        # The block below the key, up to the next line that is not indented.
        block = re.match(r"(?:[ \n].*\n?)*", rest)
        assert block
        text = head + under("vm_config", _vm(textwrap.dedent(block[0]).strip("\n"), module)) + rest[block.end() :]
    return _completed(
        text.strip("\n"),
        {
            "name": f'"{name}"',
            "root_id": "examples",
            "vm_config": "\n" + textwrap.indent(_vm("", module).strip("\n"), "  "),
            "configuration": f'{{"@type": {TYPES}google.protobuf.StringValue, value: standalone}}',
        },
    )


def listener(example: Example, module: Path) -> str:
    """Returns a listener, the example's name, that has the example in it; raises ValueError for what belongs in no listener."""
    kind, text = example.kind, example.text
    tcp_proxy = {"stat_prefix": "examples", "cluster": "egress-router1"}
    proxied = ""
    if kind == "tcp_proxy":
        proxied, text, kind = text, "", "plugin"
        if "weighted_clusters:" in proxied:
            del tcp_proxy["cluster"]
    if kind == "rule":
        text, kind = under("rules", entry(text)), "policy"
    if kind == "policy":
        value = f'"@type": {TYPES}google.protobuf.Struct\n' + under("value", text)
        text, kind = under("configuration", value), "plugin"
    if kind == "vm":
        text, kind = under("vm_config", text), "plugin"
    if kind == "plugin":
        config = under("config", plugin(text, example.name, module))
        text = _filter("wasm", f'"@type": {NETWORK}wasm.v3.Wasm\n{config}')
    elif kind != "filter":
        raise ValueError(f"{example.name}: a {kind} is no part of a listener")
    proxy = _filter("tcp_proxy", f'"@type": {NETWORK}tcp_proxy.v3.TcpProxy\n{_completed(proxied, tcp_proxy)}')
    return (
        f'"@type": {TYPES}envoy.config.listener.v3.Listener\nname: "{example.name}"\n'
        "address: {socket_address: {address: 127.0.0.1, port_value: 0}}\n"
        + under("filter_chains", entry(under("filters", entry(text) + entry(proxy))))
    )


def _filter(name: str, config: str) -> str:
    return f"name: envoy.filters.network.{name}\n" + under("typed_config", config)
