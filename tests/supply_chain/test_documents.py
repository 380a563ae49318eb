"""The bill of materials names every locked package, and the provenance what was really built of what."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from cyclonedx.model.bom import Bom

from tools.locks import NPM, PIP, Package, pip_groups, read_npm_lock, read_pip_lock
from tools.provenance import statement

SBOM = json.loads(Path("sbom.cdx.json").read_text())
PROVENANCE = json.loads(Path("provenance.json").read_text())


def purl(kind: str, package: Package) -> str:
    return f"pkg:{kind}/{package.name.replace('@', '%40')}@{package.version}"


def packages() -> dict[str, Package]:
    wheels = [p for group in pip_groups(PIP) for p in read_pip_lock(PIP / f"{group}.lock")]
    npm = read_npm_lock(NPM / "package-lock.json")
    return {purl("pypi", p): p for p in wheels} | {purl("npm", p): p for p in npm}


def test_every_locked_package_is_in_the_bill_with_its_hashes_and_licence() -> None:
    components = {c["purl"]: c for c in SBOM["components"]}
    assert components.keys() == packages().keys()
    for name, package in packages().items():
        hashes = {f"{h['alg'].lower().replace('-', '')}:{h['content']}" for h in components[name]["hashes"]}
        assert hashes == set(package.hashes)
        assert components[name]["version"] == package.version
        assert components[name]["licenses"], name


def test_the_bill_is_read_back_by_the_library() -> None:
    bom = Bom.from_json(SBOM)  # type: ignore[attr-defined]
    assert len(bom.components) == len(packages())


def test_neither_document_tells_of_this_machine_or_of_today() -> None:
    assert SBOM["metadata"]["timestamp"].startswith("1970-01-01T00:00:00")
    for document in (SBOM, PROVENANCE):
        assert not re.search(r"/home/|/root/|/tmp/|bazel-out|execroot|20\d\d-\d\d-\d\dT", json.dumps(document))


def test_the_provenance_is_a_statement_on_the_committed_digests() -> None:
    assert PROVENANCE["_type"] == "https://in-toto.io/Statement/v1"
    assert PROVENANCE["predicateType"] == "https://slsa.dev/provenance/v1"
    subjects = {s["name"]: s["digest"]["sha256"] for s in PROVENANCE["subject"]}
    [wheel] = [name for name in subjects if name.endswith(".whl")]
    files = {
        "filter/filter.wasm": "filter/filter.wasm",
        "toolchain/runtime.wasm": "toolchain/runtime.wasm",
        wheel: "wheel/wheel",
    }
    assert subjects == {name: Path(f"{file}.sha256").read_text().split()[0] for name, file in files.items()}


def test_the_provenance_names_sources_locks_and_packages() -> None:
    dependencies = PROVENANCE["predicate"]["buildDefinition"]["resolvedDependencies"]
    files = {d["name"]: d["digest"]["sha256"] for d in dependencies if "name" in d}
    assert {
        "filter/routing.py",
        "toolchain/runtime/flatten.py",
        "proxy_wasm/abi.toml",
        "command/main.py",
        "wheel/pyproject.toml",
        "third_party/pip/zig.lock",
    } <= files.keys()
    lock = PIP / "zig.lock"
    assert files[str(lock)] == hashlib.sha256(lock.read_bytes()).hexdigest()
    uris = {d["uri"]: d["annotations"]["anyOf"] for d in dependencies if "uri" in d}
    for name, hashes in uris.items():
        assert hashes == sorted(packages()[name].hashes)
    assert "pkg:npm/binaryen@" in " ".join(uris)


def test_another_source_is_another_statement(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    before = statement({"a.wasm": tmp_path / "a.py"}, [tmp_path / "a.py"])
    (tmp_path / "a.py").write_text("2")
    assert statement({"a.wasm": tmp_path / "a.py"}, [tmp_path / "a.py"]) != before
