"""The rules load and plan the right actions for another workspace, whose external repository this one is.

`tools/outside-check` builds and runs that workspace, with both kinds of Bazel: minutes. Here nothing is built or fetched.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path("WORKSPACE").resolve().parent
US = "external/proxy_wasm_python"
# What would be downloaded: for a plan, that it is there is enough.
DOWNLOADS = ("packages", "wheels_build", "wheels_envoy", "wheels_node", "wheels_test", "wheels_zig")


def stub(directory: Path, name: str) -> Path:
    """Makes a repository that has a directory of this name."""
    (directory / name).mkdir(parents=True)
    (directory / "WORKSPACE").touch()
    (directory / "BUILD.bazel").write_text(f'exports_files(["{name}"])\n')
    return directory


def plan(workspace: Path, scratch: Path) -> list[dict[str, Any]]:
    """Returns the actions that make the workspace's filter, with their arguments."""
    bazel = shutil.which("bazel")
    assert bazel, "no bazel on the path"
    overrides = {name: stub(scratch / name, "site") for name in DOWNLOADS}
    overrides |= {"npm": stub(scratch / "npm", "node_modules"), "proxy_wasm_python": REPOSITORY}
    options = [f"--override_repository={name}={path}" for name, path in overrides.items()]
    # With modules, repositories have longer names; a Bazel that has none does not know the options.
    if not Path("../wheels_test").exists():
        options += ["--noenable_bzlmod", "--enable_workspace"]
    startup = [
        "--batch",
        "--nohome_rc",
        "--noworkspace_rc",
        "--host_jvm_args=-Xmx400m",
        f"--output_base={scratch / 'output'}",
    ]
    done = subprocess.run(
        [bazel, *startup, "aquery", "--output=jsonproto", *options, 'mnemonic("Snapshot|Tier|Runtime", deps(//...))'],
        cwd=workspace,
        env={"PATH": os.environ["PATH"], "HOME": str(scratch), "USER": "author", "PROXY_WASM_PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["actions"]
    return found


def after(arguments: list[str], option: str) -> Iterable[str]:
    """Yields the values of an option."""
    return (value for name, value in itertools.pairwise(arguments) if name == option)


@pytest.fixture(scope="module")
def actions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    workspace = tmp_path_factory.mktemp("elsewhere") / "filters"
    # Bazel put links here; the copy has nothing of this tree.
    shutil.copytree(Path("examples/bazel"), workspace)
    planned = plan(workspace, tmp_path_factory.mktemp("scratch"))
    return {action["mnemonic"]: action["arguments"] for action in planned}


def test_a_filter_is_looked_up_in_its_own_workspace_first(actions: dict[str, list[str]]) -> None:
    for mnemonic in ("Snapshot", "Tier"):
        main, generated, ours, packages = after(actions[mnemonic], "--root")
        assert (main, ours, packages) == (".", US, "external/packages/site") and generated.endswith("/bin")
        assert list(after(actions[mnemonic], "--module")) == ["versions.plugin"]
        assert list(after(actions[mnemonic], "--training")) == ["proxy_wasm.testing.training"]


def test_programs_and_locks_are_this_repositorys(actions: dict[str, list[str]]) -> None:
    for arguments in actions.values():
        launcher, first, *_ = arguments[arguments.index("-B") + 1 :]
        assert (launcher, first) == (f"{US}/bazel/launch.py", US)
        assert "external/wheels_build/site" in arguments
        assert list(after(arguments, "--abi")) == [f"{US}/proxy_wasm/abi.toml"]
