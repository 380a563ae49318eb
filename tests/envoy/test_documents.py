"""A real Envoy and its own YAML reader take every YAML and JSON example of every document, in the form in which it is shown."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from envoy import process
from tests.envoy import documents, modules
from tests.envoy.conftest import MODULE, wait_for
from tests.envoy.documents import Example, entry, under

# The documents of this repository that Bazel put here, as in tests/lint.
DOCUMENTS = sorted(
    Path(os.path.relpath(directory, "."), name)
    for directory, _, names in os.walk(".")
    for name in names
    if name.endswith(".md") and not directory.startswith("./external")
)
EXAMPLES = documents.read(DOCUMENTS)
IN_A_BOOTSTRAP = [example for example in EXAMPLES if example.kind in ("bootstrap", "data")]
# What a listener of the examples finds in a file.
IN_A_FILE = [example for example in EXAMPLES if example.kind == "discovered"]
IN_A_LISTENER = [example for example in EXAMPLES if example not in (*IN_A_BOOTSTRAP, *IN_A_FILE)]
DISCOVERED = "/etc/envoy/routing.yaml"

SUCCESS, REJECTED = "listener_manager.lds.update_success", "listener_manager.lds.update_rejected"
CLUSTER = """\
name: {name}
type: STATIC
load_assignment:
  cluster_name: {name}
  endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]
"""
BOOTSTRAP = """\
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
node: {{id: examples, cluster: examples}}
dynamic_resources: {{lds_config: {{path_config_source: {{path: {listeners}}}}}}}
"""


def filled(text: str, port: int) -> str:
    """Returns an example with its placeholders filled in: what a reader of the document has to put there."""
    digest = hashlib.sha256(MODULE.read_bytes()).hexdigest()
    replacements = {
        "/etc/envoy/filter.wasm": str(MODULE),
        "http://…/": f"http://127.0.0.1:{port}/",
        "uri: …": f"uri: 'http://127.0.0.1:{port}/filter.wasm'",
        "http://registry.example.com/v2/tcp-routing/blobs/sha256:…": f"http://127.0.0.1:{port}/filter.wasm",
        "cluster: …": "cluster: modules",
        "cluster: registry": "cluster: modules",
        'sha256: "…"': f"sha256: {digest}",
        "sha256: …": f"sha256: {digest}",
    }
    for placeholder, value in replacements.items():
        text = text.replace(placeholder, value)
    assert "…" not in text, f"what is to be put for … here?\n{text}"
    return text


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Envoy]:
    """An Envoy that was given each example in a listener of its own."""
    work = tmp_path_factory.mktemp("envoy")
    with modules.serve(MODULE) as server:
        cluster = CLUSTER.format(name="modules", port=server.port)
        bootstrap = BOOTSTRAP.format(listeners=work / "listeners.yaml")
        bootstrap += under("static_resources", under("clusters", entry(cluster)))
        for example in IN_A_FILE:
            (work / Path(DISCOVERED).name).write_text(filled(example.text, server.port), encoding="utf-8")
        listeners = [filled(documents.listener(example, MODULE), server.port) for example in IN_A_LISTENER]
        version = 0

        def publish() -> None:
            nonlocal version
            version += 1
            text = f'version_info: "{version}"\n' + under("resources", "".join(map(entry, listeners)))
            text = text.replace(DISCOVERED, str(work / Path(DISCOVERED).name))
            (work / "next.yaml").write_text(text, encoding="utf-8")
            (work / "next.yaml").rename(work / "listeners.yaml")

        publish()
        with process.run(bootstrap, work) as envoy:
            # An example that refuses a module which is not there yet is to be published again; see envoy/README.md.
            for _ in range(3):
                assert wait_for(lambda: envoy.counter(SUCCESS) + envoy.counter(REJECTED) == version, 60)
                if envoy.counter(SUCCESS):
                    break
                wait_for(lambda: envoy.counter("wasm.remote_load_fetch_successes") > 0, 10)
                publish()
            wait_for(lambda: envoy.counter("listener_manager.total_listeners_warming") == 0, 30)
            envoy.read_listeners()
            yield envoy


@pytest.mark.parametrize("example", IN_A_LISTENER, ids=lambda example: example.name)
def test_an_example_for_a_listener_is_taken(taken: process.Envoy, example: Example) -> None:
    told = [line for line in taken.log_lines(example.name) if "[info]" not in line]
    assert example.name in taken.listeners, "\n".join([*told[:4], example.text])


def test_an_example_for_a_file_is_read_from_there(taken: process.Envoy) -> None:
    assert len(IN_A_FILE) == 1
    assert taken.counter("extension_config_discovery.network_filter.routing.config_reload") == 1


@pytest.mark.parametrize("example", IN_A_BOOTSTRAP, ids=lambda example: example.name)
def test_an_example_for_a_bootstrap_is_read(example: Example, tmp_path: Path) -> None:
    bootstrap = "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}\n"
    if example.kind == "bootstrap":
        bootstrap += example.text
    else:
        # Not Envoy's, so only read: as the node's metadata, which may be anything.
        bootstrap += under("node", under("metadata", under("examples", "".join(map(entry, example.parts())))))
    status, output = process.validate(bootstrap, tmp_path)
    assert status == 0, output + bootstrap


def test_the_whole_configuration_is_read_by_envoy_itself(tmp_path: Path) -> None:
    # The other tests change it as objects and write JSON.
    text = Path("envoy/envoy.yaml").read_text(encoding="utf-8")
    assert "/etc/envoy/filter.wasm" in text
    status, output = process.validate(text.replace("/etc/envoy/filter.wasm", str(MODULE)), tmp_path)
    assert status == 0, output


def test_each_document_that_a_document_links_to_is_among_them() -> None:
    assert EXAMPLES
    for document in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#:]+\.md)[)#]", document.read_text(encoding="utf-8")):
            assert Path(os.path.normpath(document.parent / link)) in DOCUMENTS, f"{document} links to {link}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```yaml\nno_such_key: 1\n```", "a.md:2: where do ['no_such_key'] belong"),
        ("Like this:\n\n    no_such_key: {a: 1}\n", "a.md:3: where do ['no_such_key'] belong"),
        ("```yml\nrules: []\n```", "a.md:2: what language is 'yml'?"),
    ],
)
def test_an_example_that_nobody_placed_is_an_error(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        assert [example.kind for example in documents.examples("a.md", text)]
