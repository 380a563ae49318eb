"""What a project's pyproject.toml says, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from command import project
from toolchain.tools import ToolchainError


def made(directory: Path, text: str) -> Path:
    """Writes a project with a plugin, and returns its folder."""
    (directory / "plugin.py").write_text("")
    (directory / "pyproject.toml").write_text(text)
    return directory


@pytest.mark.parametrize("name", ["hello", "a", "3d", "my.filter_of-mine"])
def test_the_module_has_the_projects_name(tmp_path: Path, name: str) -> None:
    folder = made(tmp_path, f'[project]\nname = "{name}"\n[tool.proxy-wasm]\nfilter = "plugin.py"\n')
    assert project.find(folder).out == folder / "build" / f"{name}.wasm"


def test_without_a_name_it_is_the_folders(tmp_path: Path) -> None:
    folder = tmp_path / "a filter"
    folder.mkdir()
    made(folder, '[tool.proxy-wasm]\nfilter = "plugin.py"\n')
    assert project.find(folder).out == folder / "build" / "a filter.wasm"


@pytest.mark.parametrize(
    "name", ['"../../evil"', '"a b/c"', '"/tmp/x"', '""', '".."', '".hidden"', "3", "[]", '"a\\n"']
)
def test_a_name_that_is_no_files_name_is_refused(tmp_path: Path, name: str) -> None:
    folder = made(tmp_path, f'[project]\nname = {name}\n[tool.proxy-wasm]\nfilter = "plugin.py"\n')
    with pytest.raises(ToolchainError, match=r"pyproject\.toml: \[project\] name is .*, and the module is called so"):
        project.find(folder)


@pytest.mark.parametrize("key", ["project", "tool"])
def test_what_is_no_table_is_refused(tmp_path: Path, key: str) -> None:
    text = f'{key} = 3\n[tool.proxy-wasm]\nfilter = "plugin.py"\n' if key == "project" else f"{key} = 3\n"
    with pytest.raises(ToolchainError, match=rf"pyproject\.toml: {key} is a table: write \[{key}\]"):
        project.find(made(tmp_path, text))


@pytest.mark.parametrize(
    "table", ["tool.proxywasm", "tool.proxy_wasm", "tool.ProxyWasm", "tool.proxy-wsam", "proxy-wasm"]
)
def test_a_table_that_is_misspelt_is_named(tmp_path: Path, table: str) -> None:
    with pytest.raises(ToolchainError) as refused:
        project.find(made(tmp_path, f'[{table}]\nfilter = "plugin.py"\n'))
    assert str(refused.value).endswith(f"pyproject.toml has a table [{table}]; did you mean [tool.proxy-wasm]?")


def test_tables_of_others_are_passed_over(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    made(tmp_path, '[tool.proxy-wasm]\nfilter = "plugin.py"\n')
    made(inner, "[tool.ruff]\n[tool.proxy]\n[tool.wasm]\n")
    assert project.find(inner).directory == tmp_path
