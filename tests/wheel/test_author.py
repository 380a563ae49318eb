"""What an author does with the wheel, outside of the repository: the first minute, the same bytes, and types."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.wheel.conftest import SECONDS, Environment, on_free_ports

IMPORT_ALL = """
import importlib, pathlib, proxy_wasm
root = pathlib.Path(proxy_wasm.__file__).parent
for path in sorted(root.rglob("*.py")):
    if "templates" not in path.parts and path.name not in ("imported.py", "named.py"):
        name = ".".join((root.name, *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        importlib.import_module(name)
        print(name)
"""


def get(port: int, source: str) -> str:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(source, 0))
    with contextlib.closing(client):
        try:
            client.request("GET", "/")
            return client.getresponse().read().decode()
        except ConnectionError:
            return "closed"


class Running:
    """`proxy-wasm run`, and what it has said so far."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def said(self) -> str:
        return self._log.read_text()

    def wait(self, found: Callable[[str], object]) -> None:
        deadline = time.monotonic() + SECONDS
        while not found(self.said()):
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)


@contextlib.contextmanager
def running(environment: Environment, project: Path, *options: str) -> Iterator[Running]:
    log = project.parent / "run.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [environment.directory / "bin" / "proxy-wasm", "run", *options],
            cwd=project,
            env=environment.variables() | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Running(log)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("option", "callback"), [("--tcp", "on_new_connection"), ("--http", "on_request_headers")])
def test_the_first_minute(environment: Environment, tmp_path: Path, option: str, callback: str) -> None:
    environment.works("new", option, "hello", cwd=tmp_path)
    hello = tmp_path / "hello"
    said = environment.works("test", cwd=hello)
    assert "4 passed" in said and "skipped" not in said, said
    assert re.search(r"build/hello\.wasm: [\d.]+ MB", environment.works("build", "--report", "build/r.html", cwd=hello))
    for host in ("--wasm", "--envoy"):
        said = environment.works("test", host, "--module", "build/{name}.wasm", cwd=hello)
        assert "4 passed" in said and "skipped" not in said, said
    report = (hello / "build" / "r.html").read_text()
    assert "<svg" in report and "<title>plugin: " in report and "\ncompiled: " in report.replace("<pre>", "\n")
    assert "and nothing more" in environment.works("verify", "build/hello.wasm", cwd=hello)
    written = environment.works("image", "build/hello.wasm", cwd=hello)
    index = (hello / "build" / "hello.image" / "index.json").read_text()
    assert written.rpartition(": ")[2].strip() in index
    facts = environment.works("inspect", "build/hello.wasm", cwd=hello)
    digest = hashlib.sha256((hello / "build" / "hello.wasm").read_bytes()).hexdigest()
    assert digest in facts and callback in facts and "0.2.1" in facts and "Envoy       tried with " in facts
    version = environment.works("--version", cwd=hello).split()[-1]
    assert "\nPython      Python 3.14." in facts and f"\nSDK         proxy_wasm {version}\n" in facts
    assert "nothing is wrong" in environment.works("check", cwd=hello)
    assert "Envoy" in environment.works("doctor", cwd=hello)


IN_ENVOY = """
import pytest
from proxy_wasm.testing.records import REMOTE


def test_what_is_wrong_fails(vm):
    vm.connection(source="10.0.0.1:4711").new_connection()
    assert vm.host.lines() == ["good day, 10.0.0.1:4711"]


def test_what_envoy_does_not_show_is_skipped(vm):
    assert vm.host.shared_data == {}


def test_a_connection_lives_and_another_configuration_counts(vm):
    with pytest.raises(ValueError, match="did you mean destination.port"):
        vm.connection({"destination.prt": 443})
    with pytest.raises(ValueError, match="source.address is an address"):
        vm.connection(source="banana")
    connection = vm.connection({"destination.port": 443}, source="[2001:db8::1]:4711")
    assert connection.new_connection() == 0 and connection.goes_on and connection.cluster is None
    connection.downstream_data(b"ping")
    connection.upstream_data(b"pong")
    connection.close(REMOTE)
    assert vm.host.lines() == ["hello, [2001:db8::1]:4711"]
    assert vm.configure(b'{"blocked": ["2001:db8::1"]}') and not vm.configure(b"?")
"""


def test_pytest_envoy_shows_what_is_so_and_no_more(environment: Environment, hello: Path) -> None:
    (hello / "test_plugin.py").write_text(IN_ENVOY)
    done = environment.run("test", "--envoy", "-rs", cwd=hello)
    assert "1 failed, 1 passed, 1 skipped" in done.stdout, done.stdout
    assert "['hello, 10.0.0.1:4711'] == ['good day, 10.0.0.1:4711']" in done.stdout
    assert "vm.host.shared_data: a real Envoy does not show that to a test" in done.stdout


def test_a_request_is_seen_and_an_edit_changes_what_happens(environment: Environment, hello: Path) -> None:
    port = on_free_ports(hello)
    plugin = hello / "plugin.py"
    with running(environment, hello) as run:
        run.wait(lambda said: f"curl http://127.0.0.1:{port}/" in said and "Ctrl-C ends" in said)
        assert get(port, "127.0.0.1") == "a server behind Envoy\n"
        assert get(port, "127.0.0.9") == "closed"
        run.wait(lambda said: "hello, 127.0.0.1:" in said and "turned away: 127.0.0.9:" in said)
        with socket.create_connection(("127.0.0.1", port)) as held:
            plugin.write_text(plugin.read_text().replace("hello,", "good day,"))
            run.wait(lambda said: "loaded anew after" in said)
            assert get(port, "127.0.0.1") == "a server behind Envoy\n"
            run.wait(lambda said: "good day, 127.0.0.1:" in said)
            # What was open before is open still.
            held.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert b"a server behind Envoy" in b"".join(iter(lambda: held.recv(4096), b""))
        plugin.write_text(plugin.read_text() + "\ndef broken(:\n")
        run.wait(lambda said: "what was loaded before goes on" in said)
        assert "SyntaxError" in run.said()
        assert get(port, "127.0.0.1") == "a server behind Envoy\n"


def test_a_connection_comes_from_anybody_with_another_configuration(environment: Environment, hello: Path) -> None:
    target = f"127.0.0.1:{on_free_ports(hello)}"
    (hello / "other.json").write_text('{"blocked": ["172.22.0.11"]}')
    with running(environment, hello, "--proxy-protocol", "--config", "other.json") as run:
        run.wait(lambda said: f"proxy-wasm connect {target} --source" in said and "Ctrl-C ends" in said)
        connect = ["connect", target, "--source"]
        assert "a server behind Envoy" in environment.works(*connect, "172.22.0.10", cwd=hello)
        assert "a server" not in environment.works(*connect, "172.22.0.11", cwd=hello)
        run.wait(lambda said: "hello, 172.22.0.10:40000" in said and "turned away: 172.22.0.11:40000" in said)


def test_the_filter_of_this_repository_is_the_same_bytes(environment: Environment, tmp_path: Path) -> None:
    for folder in ("filter", "proto"):
        (tmp_path / folder).mkdir()
        for path in Path(folder).glob("*.py"):
            shutil.copyfile(path, tmp_path / folder / path.name)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.proxy-wasm]\nfilter = "filter/plugin.py"\ntraining = "filter.training"\n'
    )
    environment.works("build", "--out", "filter.wasm", cwd=tmp_path)
    built, expected = (path.read_bytes() for path in (tmp_path / "filter.wasm", Path("filter/filter.wasm")))
    assert hashlib.sha256(built).hexdigest() == hashlib.sha256(expected).hexdigest()


def test_every_module_of_the_wheel_is_imported(environment: Environment, tmp_path: Path) -> None:
    names = environment.works("-c", IMPORT_ALL, cwd=tmp_path, python=True).split()
    assert {"proxy_wasm._tools.toolchain.recipe.filter", "proxy_wasm._tools.command.main"} <= set(names)
    assert environment.works("-m", "proxy_wasm", "--version", cwd=tmp_path, python=True).startswith(
        "proxy-wasm, version"
    )


def test_projects_are_strictly_typed(environment: Environment, hello: Path) -> None:
    environment.works("new", "--http", "other", cwd=hello.parent)
    (hello / "asked.py").write_text("import proxy_wasm\n\nreveal_type(proxy_wasm.get_property)\n")
    command = [
        sys.executable,
        "-S",
        "-m",
        "mypy",
        "--strict",
        "--explicit-package-bases",
        f"--cache-dir={hello / 'cache'}",
    ]
    command += [f"--python-executable={environment.python}", "hello", "other"]
    done = subprocess.run(command, cwd=hello.parent, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Revealed type is "def (bytes | str) -> bytes | None"' in done.stdout.replace("builtins.", "")


def test_breakpoints_and_coverage_see_the_filter(environment: Environment, hello: Path) -> None:
    lines = (hello / "plugin.py").read_text().splitlines()
    greeting, turned_away = (
        lines.index(line) for line in ('        print("hello,", source)', '            print("turned away:", source)')
    )
    test = ["-m", "pytest", "-s", "-k", "greeted"]
    pdb = ["-m", "pdb", "-c", f"b plugin.py:{greeting + 1}", "-c", "c", "-c", "p 'stopped for ' + source", "-c", "c"]
    said = environment.run(*pdb, *test, cwd=hello, python=True).stdout
    assert "'stopped for 10.0.0.1:4711'" in said and "1 passed" in said
    (hello / "plugin.py").write_text("\n".join([*lines[:greeting], "        breakpoint()", *lines[greeting:]]))
    asked = environment.run(*test, cwd=hello, python=True, typed="p 'at ' + source\nc\n").stdout
    assert "(Pdb) 'at 10.0.0.1:4711'" in asked and "1 passed" in asked, asked
    (hello / "plugin.py").write_text("\n".join(lines))
    # What coverage does too: the interpreter tells each line.
    environment.works(
        "-m", "trace", "--count", "-C", "lines", "--module", "pytest", "-k", "greeted", cwd=hello, python=True
    )
    counted = (hello / "lines" / "plugin.cover").read_text().splitlines()
    assert counted[greeting].strip().startswith("1: ") and not counted[turned_away].strip()[0].isdigit()


def test_a_file_alone_is_built(environment: Environment, hello: Path, tmp_path: Path) -> None:
    shutil.copyfile(hello / "plugin.py", tmp_path / "alone.py")
    environment.works("build", "alone.py", "--out", "a.wasm", cwd=tmp_path)
    assert "and nothing more" in environment.works("verify", "a.wasm", cwd=tmp_path)


@pytest.mark.parametrize("argument", ["--help", "build --help", "run --help", "test --help"])
def test_help_is_there(environment: Environment, tmp_path: Path, argument: str) -> None:
    assert "Usage: proxy-wasm" in environment.works(*argument.split(), cwd=tmp_path)


# Each prints what a real shell makes of `bui` and of `build --rep`. zsh completes nothing without a terminal, so it gets one of its own.
COMPLETED = {
    "bash": """
        eval "$(proxy-wasm completion bash)"
        COMP_WORDS=(proxy-wasm bui) COMP_CWORD=1; _proxy_wasm_completion proxy-wasm; echo "${COMPREPLY[@]}"
        COMPREPLY=() COMP_WORDS=(proxy-wasm build --rep) COMP_CWORD=2; _proxy_wasm_completion proxy-wasm; echo "${COMPREPLY[@]}"
    """,
    "fish": """
        proxy-wasm completion fish | source
        complete -C "proxy-wasm bui" | cut -f 1
        complete -C "proxy-wasm build --rep" | cut -f 1
    """,
    "zsh": """
        zmodload zsh/zpty
        zpty shell TERM=dumb zsh -f -i
        zpty -w shell 'autoload -U compinit; compinit -u -D; eval "$(proxy-wasm completion zsh)"; echo rea""dy'
        zpty -r shell said '*ready*'
        zpty -w -n shell $'proxy-wasm bui\t'
        zpty -r shell said '*build *' && echo build
        zpty -w -n shell $'--rep\t'
        zpty -r shell said '*--report *' && echo --report
    """,
}


@pytest.mark.parametrize("shell", COMPLETED)
def test_a_shell_completes_commands_and_options(environment: Environment, tmp_path: Path, shell: str) -> None:
    variables = environment.variables()
    if shutil.which(shell, path=variables["PATH"]) is None:
        pytest.skip(f"{shell} is not installed")
    command = [shell, "-c", COMPLETED[shell]]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=SECONDS)
    assert done.stdout == "build\n--report\n", done.stderr
