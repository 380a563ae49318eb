"""Each folder imports what the table "Where things are" in CONTRIBUTING.md allows, and nothing imports `tests` or `bench`."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

_ROW = re.compile(r"^\| `(\w+)/` \|.*\| (.*) \|$", re.MULTILINE)


def table() -> dict[str, str]:
    """Returns what each folder may import, in the table's words."""
    return dict(_ROW.findall(Path("CONTRIBUTING.md").read_text(encoding="utf-8")))


def allowed(folder: str, words: str, folders: set[str]) -> set[str]:
    """Returns the folders that these words allow: those in backticks, or all but those after "everything but"."""
    named = set(re.findall(r"`(\w+)", words))
    return (folders - named if words.startswith("everything") else named & folders) | {folder}


def imports(source: str) -> Iterator[str]:
    """Yields the first name of everything that a module imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def modules(folder: str) -> Iterator[Path]:
    for directory, _, names in os.walk(folder):
        yield from (Path(directory, name) for name in names if name.endswith(".py"))


def test_imports_follow_the_table() -> None:
    rules = table()
    folders = set(rules)
    wrong = []
    for folder, words in rules.items():
        may = allowed(folder, words, folders)
        for path in modules(folder):
            for name in set(imports(path.read_text(encoding="utf-8"))) & folders - may:
                wrong.append(f"{path} imports {name}; {folder}/ may import {words or 'nothing of the project'}")
    assert not wrong, "\n".join(sorted(wrong))


def test_every_folder_of_modules_is_in_the_table() -> None:
    folders = {
        path.name for path in Path().iterdir() if path.is_dir() and not path.name.startswith(("bazel-", "external"))
    }
    assert {folder for folder in folders if any(modules(folder))} <= set(table())


def test_a_forbidden_import_would_be_seen() -> None:
    source = "import os\nfrom toolchain.wasm import Module\n\ndef f():\n    import bench.report\n"
    assert set(imports(source)) == {"os", "toolchain", "bench"}
    folders = {"filter", "tests", "bench", "demo", "proxy_wasm", "proto"}
    assert allowed("filter", "`proxy_wasm`, `proto`", folders) == {"filter", "proxy_wasm", "proto"}
    assert allowed("demo", "everything but `tests`, `bench`", folders) == folders - {"tests", "bench"}
