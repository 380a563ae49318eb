"""What is said of packages that a filter names, and that are not as it needs them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import packaging.requirements
import packaging.utils  # noqa: F401 - imported before the path is another
import pytest

from command import packages
from toolchain.tools import ToolchainError


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of installed packages: one as it should be, whose module has another name, and one that is editable."""
    installed(tmp_path, "NetAddress", "address.py")
    installed(tmp_path, "mine", "__editable___mine_finder.py")
    source = {"dir_info": {"editable": True}, "url": "file:///home/me/mine"}
    (tmp_path / "mine-1.0.dist-info" / "direct_url.json").write_text(json.dumps(source))
    installed(tmp_path, "whole", "whole.py", "mine>=1")
    installed(tmp_path, "half", "half.py", "netadress")
    installed(tmp_path, "quick", "quickly.so")
    (tmp_path / "quick-1.0.dist-info" / "top_level.txt").write_text("quickly")
    # The packages that run the tests are many.
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def installed(directory: Path, name: str, module: str, needs: str = "") -> None:
    """Installs a package."""
    info = directory / f"{name}-1.0.dist-info"
    info.mkdir()
    requires = f"Requires-Dist: {needs}\n" if needs else ""
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")
    (info / "RECORD").write_text(f"{module},,\n{info.name}/METADATA,,\n")
    (directory / module).write_text("")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("netadress", "the package netadress is not installed here; did you mean NetAddress, which is?"),
        ("address", "the package address is not installed here; did you mean NetAddress, which is?"),
        ("qqqq", "the package qqqq is not installed here; is the name right? `pip install qqqq` installs it"),
        ("half", "the package netadress, which half needs, is not installed here; `pip install netadress`"),
        ("a b", "packages in [tool.proxy-wasm] of pyproject.toml: 'a b' is no package's name, such as netaddr"),
        (
            "NetAddress>=2",
            "the package NetAddress is installed here as 1.0, and not >=2; `pip install 'NetAddress>=2'`",
        ),
        (
            "mine",
            "the package mine is installed as editable, so that its files lie elsewhere; "
            "`pip install /home/me/mine` installs them",
        ),
        (
            "whole",
            "the package mine, which whole needs, is installed as editable, so that its files lie elsewhere; "
            "`pip install /home/me/mine` installs them",
        ),
    ],
)
def test_a_package_that_is_not_as_it_should_be(site: Path, tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ToolchainError) as refused:
        packages.gather([name], tmp_path / "root")
    assert str(refused.value) == text


def test_a_module_that_an_installed_package_has(site: Path, tmp_path: Path) -> None:
    wanted = 'NetAddress is installed: add "NetAddress" to packages in [tool.proxy-wasm] of pyproject.toml'
    assert packages.advice("address.part", []) == wanted
    assert packages.advice("address", packages.gather(["netaddress==1"], tmp_path / "root")) == ""
    quick = (
        "quick is installed, but it has no Python, only machine code (quickly.so); only pure Python fits into a filter"
    )
    assert packages.advice("quickly", []) == quick


def test_a_module_that_nobody_has(site: Path) -> None:
    assert packages.advice("nobodys", []) == ""
    assert packages.nobodys("nobodys") == (
        "neither the project nor an installed package has nobodys: is the name right? "
        "A package is to be installed, and named in packages in [tool.proxy-wasm] of pyproject.toml"
    )
    assert packages.nobodys("_ctypes") == packages.nobodys("mine.nothing") == packages.nobodys("address") == ""
