"""Writes the software bill of materials: every locked wheel and npm package by version, licence and hashes, as CycloneDX JSON.

Usage: python3 -m tools.sbom OUT SITE...

Names, versions and hashes are those of the lock files. A wheel's licence is what its metadata says, unpacked in one of the SITEs.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tools.locks import NPM, PIP, Package, digest, pip_groups, read_npm_lock, read_pip_lock

_ALGORITHMS = {"sha256": HashAlgorithm.SHA_256, "sha512": HashAlgorithm.SHA_512}
# Their metadata is silent: this is what the LICENSE file beside it says.
_LICENSES = {"atheris": "Apache-2.0", "componentize-py": "Apache-2.0 WITH LLVM-exception"}


def normalized(name: str) -> str:
    """Returns a package's name as lock files write it."""
    return name.lower().replace("_", "-").replace(".", "-")


def wheel_licenses(sites: Iterable[str]) -> dict[str, str]:
    """Returns what the metadata of each unpacked wheel says of its licence, by the package's name."""
    licenses = dict(_LICENSES)
    for found in metadata.distributions(path=list(sites)):
        said = list(found.metadata.get_all("License-Expression") or [])
        said += [
            c.rpartition(" :: ")[2] for c in found.metadata.get_all("Classifier") or [] if c.startswith("License ::")
        ]
        # An old field, into which some put the whole text.
        said += [text for text in found.metadata.get_all("License") or [] if "\n" not in text]
        for text in said:
            licenses.setdefault(normalized(found.metadata["Name"]), text)
    return licenses


def npm_licenses(lock: Path) -> dict[str, str]:
    """Returns the licences that a package-lock.json names, by the package's name."""
    packages = json.loads(lock.read_text())["packages"].items()
    return {where.rpartition("node_modules/")[2]: entry["license"] for where, entry in packages if where}


def _component(kind: str, package: Package, license: str, groups: list[str]) -> Component:
    namespace, _, name = package.name.rpartition("/")
    hashes = [HashType(alg=_ALGORITHMS[a], content=h) for a, _, h in (text.partition(":") for text in package.hashes)]
    purl = PackageURL(kind, namespace or None, name, package.version)
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        group=namespace or None,
        version=package.version,
        bom_ref=str(purl),
        purl=purl,
        hashes=hashes,
        licenses=[LicenseFactory().make_from_string(license)],
        properties=[Property(name="third_party", value=group) for group in groups],
    )


def bill_of_materials(sites: Iterable[str]) -> str:
    """Returns the document, or raises `KeyError` of a package whose licence is unknown: it is to be added to `_LICENSES`."""
    groups: dict[Package, list[str]] = {}
    locks = [PIP / f"{group}.lock" for group in pip_groups(PIP)]
    for lock in locks:
        for package in read_pip_lock(lock):
            groups.setdefault(package, []).append(lock.stem)
    licenses = wheel_licenses(sites)
    components = [_component("pypi", p, licenses[normalized(p.name)], found) for p, found in groups.items()]
    npm_lock = NPM / "package-lock.json"
    licenses = npm_licenses(npm_lock)
    components += [_component("npm", p, licenses[p.name], ["npm"]) for p in read_npm_lock(npm_lock)]
    bom = Bom(components=components, serial_number=uuid.uuid5(uuid.NAMESPACE_OID, digest([*locks, npm_lock])))
    # The format wants one; the locks have none, and the same locks give the same document.
    bom.metadata.timestamp = datetime.fromtimestamp(0, UTC)
    bom.metadata.component = Component(type=ComponentType.APPLICATION, name="proxy-wasm-python", bom_ref="project")
    bom.register_dependency(bom.metadata.component, components)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def main() -> None:
    """Writes the document that the command line names."""
    out, *sites = sys.argv[1:]
    try:
        Path(out).write_text(bill_of_materials(sites))
    except KeyError as error:
        sys.exit(f"error: nothing says under which licence {error} is; add it to _LICENSES in tools/sbom.py")


if __name__ == "__main__":
    main()
