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


def allows(folder: str, words: str, module: str) -> bool:
    """Tells whether these words allow a module of another folder: those in backticks, or all but those after "everything but"."""
    named = re.findall(r"`([\w.]+)", words)
    found = any(f"{module}.".startswith(f"{name}.") for name in (*named, folder))
    return found != words.startswith("everything") or module.partition(".")[0] == folder


def imports(source: str) -> Iterator[str]:
    """Yields the name of every module that a module imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def modules(folder: str) -> Iterator[Path]:
    for directory, _, names in os.walk(folder):
        yield from (Path(directory, name) for name in names if name.endswith(".py"))


def test_imports_follow_the_table() -> None:
    rules = table()
    folders = set(rules)
    wrong = []
    for folder, words in rules.items():
        for path in modules(folder):
            for name in set(imports(path.read_text(encoding="utf-8"))):
                if name.partition(".")[0] in folders and not allows(folder, words, name):
                    wrong.append(f"{path} imports {name}; {folder}/ may import {words}")
    assert not wrong, "\n".join(sorted(wrong))


def test_an_example_works_where_it_is_copied_to() -> None:
    here = set(table()) - {"proxy_wasm"}
    files = [path for path in modules("examples") if path.parent.parent == Path("examples")]
    assert len(files) > 50
    wrong = [
        f"{path} imports {name}"
        for path in files
        for name in imports(path.read_text(encoding="utf-8"))
        if name.partition(".")[0] in here
    ]
    assert not wrong, "\n".join(sorted(wrong))


def test_every_folder_of_modules_is_in_the_table() -> None:
    folders = {
        path.name for path in Path().iterdir() if path.is_dir() and not path.name.startswith(("bazel-", "external"))
    }
    assert {folder for folder in folders if any(modules(folder))} <= set(table())


def test_a_forbidden_import_would_be_seen() -> None:
    source = "import os\nfrom toolchain.wasm import Module\n\ndef f():\n    import bench.report\n"
    assert set(imports(source)) == {"os", "toolchain.wasm", "bench.report"}
    may = [
        name
        for name in ("filter.a", "proxy_wasm", "proxy_wasm.x", "tests", "bench")
        if allows("filter", "`proxy_wasm`", name)
    ]
    assert may == ["filter.a", "proxy_wasm", "proxy_wasm.x"]
    assert not allows("toolchain", "`proxy_wasm.testing.abi`", "proxy_wasm.testing")
    assert allows("toolchain", "`proxy_wasm.testing.abi`", "proxy_wasm.testing.abi")
    everything = "everything but `tests`, `bench`"
    assert [name for name in ("demo", "filter.a", "tests.x", "bench") if allows("demo", everything, name)] == [
        "demo",
        "filter.a",
    ]
    assert not allows("bazel", "nothing of the project", "proto") and allows("tests", "everything", "bench.report")
