"""The wheel is a function of its sources' contents; nothing in it depends on this machine."""

from __future__ import annotations

import os
import random
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from wheel.pack import TOOLS, contents, pack, places, renamed

SOURCES = [
    Path("LICENSE"),
    *(path for path in sorted(Path("proxy_wasm").rglob("*")) if path.suffix in (".py", ".toml", ".md", ".pyi")),
    *sorted(Path("command").rglob("*.py")),
]
WHEEL = next(Path("wheel").glob("*.whl"))
RUNTIME = b"not what is tested here " * 1000


def a_wheel(directory: Path, seed: int, monkeypatch: pytest.MonkeyPatch, pyproject: str = "") -> Path:
    """Packs a copy of the sources, in another order, with other times and permissions."""
    shuffled = SOURCES.copy()
    random.Random(seed).shuffle(shuffled)
    for path in [*shuffled, Path("wheel/pyproject.toml")]:
        copied = directory / path
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)
        copied.chmod(0o600 if seed % 2 else 0o664)
        os.utime(copied, (1_000_000_000 * seed, 1_000_000_000 * seed))
    (directory / "runtime.wasm").write_bytes(RUNTIME)
    out = directory / WHEEL.name
    with monkeypatch.context() as patched:
        patched.chdir(directory)
        written = Path("wheel/pyproject.toml")
        written.write_text(pyproject or written.read_text())
        pack(out, written, shuffled, [Path("runtime.wasm")])
    return out


def test_times_permissions_and_order_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (a_wheel(tmp_path / str(seed), seed, monkeypatch).read_bytes() for seed in (1, 2))
    assert first == second


def test_another_project_has_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyproject = Path("wheel/pyproject.toml").read_text().replace('name = "proxy-wasm"', 'name = "proxy-wasm-next"')
    with pytest.raises(ValueError, match=r"makes proxy_wasm_next-[\d.]+-py3-none-any\.whl"):
        a_wheel(tmp_path, 1, monkeypatch, pyproject)


def test_the_version_is_the_one_of_the_name() -> None:
    version = WHEEL.name.split("-")[1]
    with zipfile.ZipFile(WHEEL) as archive:
        assert f"\nVersion: {version}\n" in archive.read(f"proxy_wasm-{version}.dist-info/METADATA").decode()


def test_the_wheel_brings_the_sdk_its_stubs_and_nothing_else_by_a_name_of_its_own() -> None:
    with zipfile.ZipFile(WHEEL) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}
        assert top == {"proxy_wasm", "_proxy_wasm-stubs", f"{WHEEL.name.removesuffix('-py3-none-any.whl')}.dist-info"}
        # Whatever zlib packs them with, the bytes are the same.
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}


def test_the_sdk_is_the_same_bytes_since_it_is_frozen_into_filters() -> None:
    with zipfile.ZipFile(WHEEL) as archive:
        for path in Path("proxy_wasm").glob("*.py"):
            assert archive.read(path.as_posix()) == path.read_bytes()


def test_each_licence_of_what_is_bundled_is_in_the_wheel() -> None:
    with zipfile.ZipFile(WHEEL) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        folder = metadata.removesuffix("METADATA") + "licenses/"
        inside = {name.removeprefix(folder) for name in archive.namelist() if name.startswith(folder)}
        declared = re.findall(r"^License-File: (.*)$", archive.read(metadata).decode(), re.MULTILINE)
        assert inside == set(declared)
        text = archive.read(f"{folder}licenses/libraries.txt").decode()
        assert "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in archive.read(f"{folder}licenses/CPython.txt").decode()
    # The one says what the others are for.
    assert inside == {
        "LICENSE",
        "licenses/libraries.txt",
        *(f"licenses/{n}" for n in re.findall(r"^  (\S+\.txt)", text, re.MULTILINE)),
    }


def test_imports_follow_the_tools_to_their_place() -> None:
    source = "from toolchain.vm import late\nfrom command import new\n\ndef f():\n    from envoy.process import run\n"
    assert renamed("command/x.py", source) == (
        "from proxy_wasm._tools.toolchain.vm import late\nfrom proxy_wasm._tools.command import new\n\n"
        "def f():\n    from proxy_wasm._tools.envoy.process import run\n"
    )
    assert renamed("proxy_wasm/x.py", source) == source
    assert renamed("command/x.py", "from commands import a\nfrom the command import nothing\n") == (
        "from commands import a\nfrom the command import nothing\n"
    )


@pytest.mark.parametrize(
    "source", ["filter/plugin.py", "toolchain/runtime/start.py", "envoy/client.py", "oci/BUILD.bazel"]
)
def test_what_does_not_belong_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=f"{source} does not belong into the wheel"):
        places(source)


def test_what_belongs_is_found_in_the_tree(tmp_path: Path) -> None:
    names = ["LICENSE", "command/new.py", "command/templates/http/gitignore", "envoy/client.py", "filter/plugin.py"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in contents(tmp_path)] == names[:3]


def test_what_was_compiled_for_this_machine_stays_here(tmp_path: Path) -> None:
    out = tmp_path / WHEEL.name
    (tmp_path / "runtime.cwasm").touch()
    (tmp_path / "runtime.wasm").touch()
    pack(out, Path("wheel/pyproject.toml"), SOURCES, [tmp_path / "runtime.cwasm", tmp_path / "runtime.wasm"])
    with zipfile.ZipFile(out) as archive:
        assert [name for name in archive.namelist() if "/runtime/" in name] == [f"{TOOLS}/runtime/runtime.wasm.gz"]
