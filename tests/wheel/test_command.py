"""The command in this process, without a build: what it refuses in one line before any work, and how it says it."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from command import building, inspecting, interrupted, log, main, runtime, terminal
from command.project import Project, find, of_file
from envoy.process import EnvoyError
from oci import image
from toolchain.tier.build import run
from toolchain.tools import ToolchainError


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project, which is the current directory."""
    monkeypatch.chdir(tmp_path)
    assert "hello/plugin.py" in said("new", "hello")
    monkeypatch.chdir("hello")
    return tmp_path / "hello"


def said(*arguments: str) -> str:
    """Runs what must succeed, and returns what it said."""
    done = CliRunner().invoke(main.main, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def refused(*arguments: str) -> str:
    """Runs what must fail with one line, and returns that."""
    done = CliRunner().invoke(main.main, arguments)
    assert done.exit_code == 1, (done.output, done.exception)
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("error: ").rstrip()


def edit(file: str, old: str, new: str) -> None:
    text = Path(file).read_text(encoding="utf-8")
    assert old in text
    Path(file).write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("given", [".", "..", "/", ".py"])
def test_a_path_without_a_name_is_no_module(hello: Path, given: str) -> None:
    edit("pyproject.toml", '"plugin.py"', f'"{given}"')
    assert f"filter: {given!r} is no module; give a file" in refused("check")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("port_value: 10000", "port_value: 99999", "a port_value is a number from 0 to 65535, not 99999"),
        ("port_value: 10000", "port_value: abc", "a port_value is a number from 0 to 65535, not 'abc'"),
        ("admin:", "admin: 3\nother:", "admin is 3, and no mapping"),
        ("static_resources:", "static_resources: 3\nother:", "static_resources is 3, and no mapping"),
        ("  clusters:", "  clusters: [3]\n  others:", "one of the clusters is 3, and no mapping"),
        ("vm_config:", "vm_config: 3\n                  other:", "vm_config is 3, and no mapping"),
    ],
)
def test_envoy_yaml_of_another_shape_is_told(
    hello: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, text: str
) -> None:
    monkeypatch.setattr("command.proxy.find_envoy", lambda: Path("envoy"))
    edit("envoy.yaml", old, new)
    assert refused("run").endswith(f"envoy.yaml: {text}")


@pytest.mark.parametrize("file", ["envoy.yaml", "configuration.json"])
def test_a_file_that_is_no_utf8_is_named_before_the_build(
    hello: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setattr("command.proxy.find_envoy", lambda: Path("envoy"))
    Path(file).write_bytes(b'"caf\xe9"')
    assert f"{file} is not " in refused("run", "--config", "configuration.json")


def test_a_configuration_that_is_not_there_is_told_before_the_build(
    hello: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("command.proxy.find_envoy", lambda: Path("envoy"))
    assert refused("run", "--config", "nope.json") == "cannot read nope.json: No such file or directory"


@pytest.mark.parametrize("option", ["--out", "--report", "--record"])
def test_an_output_is_refused_before_the_build(hello: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setattr(building, "build", lambda *_, **__: pytest.fail("it is built"))
    assert refused("build", option, ".").endswith("it is a folder; give the path of a file")
    assert refused("build", option, "").endswith("it is a folder; give the path of a file")
    assert "there is no folder" in refused("build", option, "nosuch/x.wasm")
    assert not Path("nosuch").exists()


def test_what_the_system_refuses_is_one_line_and_what_is_a_fault_here_is_not(
    hello: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(error: Exception) -> Callable[[Project, object], list[str]]:
        def check(*_: object) -> list[str]:
            raise error

        return check

    monkeypatch.setattr(building, "check", failing(PermissionError(13, "Permission denied", "/some/file")))
    assert refused("check") == "/some/file: Permission denied"
    monkeypatch.setattr(building, "check", failing(OSError(28, "No space left on device")))
    assert refused("check").startswith("No space left on device; is there room in ")
    monkeypatch.setattr(building, "check", failing(ValueError("a fault")))
    with pytest.raises(ValueError, match="a fault"):
        main.main(["check"])


def test_an_output_that_is_full_is_told() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "command", "completion", "bash"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "error: cannot write the output: No space left on device\n")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("x = 1", "the training broken: a function train(module) yields a VM's memory, but it is not there"),
        ("train = lambda module: 3", "a function train(module) yields a VM's memory, but it returned 3"),
        ("train = lambda module: [3]", "the training broken: train() yields a VM's memory, not 3"),
        ("import json\njson.loads('')", "the training failed: .*broken.py:2: JSONDecodeError: [^\n]*"),
        ("def train(", "the training failed: .*broken.py:1: SyntaxError: [^\n]*"),
    ],
)
def test_a_training_that_is_none_is_one_line(
    hello: Path, monkeypatch: pytest.MonkeyPatch, source: str, text: str
) -> None:
    monkeypatch.syspath_prepend(str(hello))
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    Path("broken.py").write_text(source)
    with pytest.raises(ToolchainError) as raised, building._explained(find(hello), []):
        list(run("broken", b""))
    assert re.search(f"{re.escape(text) if '.*' not in text else text}$", str(raised.value)), raised.value


def test_a_source_that_python_cannot_read_is_named(hello: Path) -> None:
    said = "source code string cannot contain null bytes"
    text = f"importing plugin failed:\nTraceback (most recent call last):\nSyntaxError: {said}"
    one_line = r"^plugin\.py: SyntaxError: source code [^\n]*$"
    with pytest.raises(ToolchainError, match=one_line), building._explained(find(hello), []):
        raise ToolchainError(text)


def test_a_file_that_is_no_module_is_told_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["verify"], ["inspect"], ["image"], ["push", "--plain-http"]):
        arguments = ["127.0.0.1:1/x"] if command[0] == "push" else []
        assert refused(*command, "nope.wasm", *arguments) == "cannot read nope.wasm: No such file or directory"
    Path("mini.wasm").write_bytes(b"\0asm\1\0\0\0")
    missing = "the module does not export memory, which Proxy-Wasm 0.2.1 asks for"
    assert refused("verify", "mini.wasm") == refused("image", "mini.wasm") == f"mini.wasm: {missing}"
    assert f"loads       no: {missing}\n" in said("inspect", "mini.wasm")


def test_a_package_is_a_filter_by_its_folder_or_its_file(hello: Path) -> None:
    Path("mypkg").mkdir()
    Path("mypkg/__init__.py").write_text("")
    for given in ("mypkg", "mypkg/", "mypkg/__init__.py"):
        project = of_file(Path(given))
        assert (project.filter, project.name, project.root, project.plugin) == (
            "mypkg",
            "mypkg",
            hello,
            hello / "mypkg",
        )
        assert of_file(hello / "mypkg") == project


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("missing.py", "there is no file or folder missing.py; is the path right?"),
        (
            "my plugin.py",
            "my plugin.py cannot be imported, since my plugin is no module's name; rename it, such as my_plugin",
        ),
        ("a-b.py", "a-b.py cannot be imported, since a-b is no module's name; rename it, such as a_b"),
        ("class.py", "class.py cannot be imported, since class is no module's name; rename it, such as _class"),
        ("envoy.yaml", "envoy.yaml is no Python file; give the file that calls proxy_wasm.register()"),
        (".", ". is no package of Python, since it has no __init__.py; to build the project there, run this in ."),
        ("empty", "empty is no package of Python, since it has no __init__.py; give a file of it"),
    ],
)
def test_what_is_no_plugin_is_told(hello: Path, given: str, text: str) -> None:
    Path("empty").mkdir()
    for name in ("my plugin.py", "a-b.py", "class.py"):
        Path(name).touch()
    for command in ("build", "check", "run"):
        assert refused(command, given) == text


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "freezing x\r\033[Kat import\nfreezing y\r\033[K\033[31m\033[1merror:\033[0m wrong\n"),
        ({"NO_COLOR": "1"}, "freezing x ...\nat import\nfreezing y ...\nerror: wrong\n"),
        ({"TERM": "dumb"}, "freezing x ...\nat import\nfreezing y ...\nerror: wrong\n"),
    ],
)
def test_a_terminal_shows_each_thing_in_its_own_line(
    hello: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    def check(project: Project, say: Callable[[str], None]) -> list[str]:
        say("freezing x")
        print("at import", file=sys.stderr)
        say("freezing y")
        raise ToolchainError("wrong")

    monkeypatch.setattr(building, "check", check)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (24, 11))
    with os.fdopen(slave, "w") as screen, monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(sys, "stderr", screen)
        main.main(["check"])
    shown = b""
    with contextlib.suppress(OSError):  # so Linux says that nobody holds the terminal any more
        while part := os.read(master, 4096):
            shown += part
    os.close(master)
    assert shown.decode().replace("\r\n", "\n") == expected


def test_a_long_step_is_said_again(capsys: pytest.CaptureFixture[str]) -> None:
    said = ""
    with terminal.Progress(every_seconds=0.01) as progress:
        progress("freezing x")
        while said.count("freezing x, for 0 s ...\n") < 2:
            said += capsys.readouterr().err
        progress("training")
    assert said.startswith("freezing x ...\n")
    assert "freezing" not in capsys.readouterr().err.rpartition("training ...")[2]


@pytest.fixture
def healthy(hello: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for an Envoy, on a machine where nothing is wrong, but that Envoy is missing."""
    monkeypatch.setattr(inspecting, "version", lambda name: "1.0")
    monkeypatch.setattr(runtime, "files", lambda: [hello / "plugin.py"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(hello / "cache"))
    monkeypatch.setattr("envoy.process.binary", lambda: (_ for _ in ()).throw(EnvoyError()))
    monkeypatch.setenv("PATH", str(hello / "bin"))
    (hello / "bin").mkdir()
    return hello / "bin"


def test_the_doctor_tells_what_is_missing_from_what_is_wrong(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def doctor() -> tuple[int, str]:
        done = CliRunner().invoke(main.main, ["doctor"])
        return done.exit_code, done.output

    status, said = doctor()
    assert status == 0 and " --  Envoy        there is no Envoy here" in said and " ok  runtime" in said, said
    (healthy / "envoy").write_text("#!/bin/sh\nexit 3\n")
    (healthy / "envoy").chmod(0o755)
    status, said = doctor()
    assert status == 1 and f" !!  Envoy        {healthy}/envoy --version ends with status 3 and says 'nothing'" in said
    (healthy / "envoy").write_text("#!/bin/sh\necho 'envoy  version: 5f/1.40.0/Clean/RELEASE/BoringSSL'\n")
    assert f" ok  Envoy        1.40.0 ({healthy}/envoy)" in doctor()[1]
    edit("pyproject.toml", "filter =", "filtre =")
    status, said = doctor()
    assert status == 1 and " !!  project      " in said
    monkeypatch.chdir(healthy.parent.parent)
    status, said = doctor()
    assert status == 0 and " --  project      there is no project in" in said


@pytest.mark.parametrize("name", ["XDG_CACHE_HOME", "HOME"])
@pytest.mark.parametrize("place", ["/proc/nohome", "/etc/passwd"])
def test_the_doctor_tries_the_cache(healthy: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: str) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv(name, place)
    done = CliRunner().invoke(main.main, ["doctor"])
    assert done.exit_code == 1 and f" !!  runtime      cannot write to the cache {place}/" in done.output, done.output


def test_a_relative_cache_is_ignored(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(healthy))
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert runtime.cache().is_relative_to(healthy)


# It cleans up for longer than `subprocess.run` waits at Ctrl-C, and does not bear a second one.
CLEANS_UP = """
import pathlib, time
folder = pathlib.Path("folder")
try:
    folder.mkdir()
    time.sleep(60)
finally:
    time.sleep(0.5)
    folder.rmdir()
"""
RUNS = {
    "test": "interrupted.run_in_foreground([sys.executable, '-c', sys.argv[1]])",
    "build_apart": "interrupted.run_quietly([sys.executable, '-c', sys.argv[1]], pathlib.Path())",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", RUNS)
def test_what_is_ended_cleans_up_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: signal.Signals
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(os.path.abspath, sys.path)))
    program = f"import pathlib, sys; from command import interrupted; interrupted.raise_on_sigterm(); {RUNS[name]}"
    command = [sys.executable, "-c", program, CLEANS_UP]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "folder").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    # Ctrl-C reaches all programs of a terminal, and `kill` the one.
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    process.wait(60)
    assert not (tmp_path / "folder").exists()


def test_tests_that_hear_of_no_ctrl_c_are_ended_by_the_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(os.path.abspath, sys.path)))
    program = (
        f"import sys; from command import interrupted; interrupted._PATIENCE_SECONDS = 0.2; sys.exit({RUNS['test']})"
    )
    loops = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('there', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, loops], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    with process:
        assert process.stdout and process.stdout.readline() == b"there\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr and process.stderr.read(1) == b"\n"
        assert b"a callback that loops hears of no Ctrl-C" in process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 128 + signal.SIGINT


def test_the_second_ctrl_c_may_come_while_the_user_is_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[BaseException | int] = [KeyboardInterrupt(), subprocess.TimeoutExpired("test", 3), -signal.SIGKILL]

    class Looping:
        def __init__(self, command: list[str]) -> None:
            self.kill = lambda: None

        def wait(self, timeout: float | None = None) -> int:
            ended = waits.pop(0)
            if isinstance(ended, BaseException):
                raise ended
            return ended

    def interrupt(text: str) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", Looping)
    with monkeypatch.context() as told:
        told.setattr(sys.stderr, "write", interrupt)
        assert interrupted.run_in_foreground(["test"]) == 128 + signal.SIGINT
    assert not waits


def test_the_folder_that_image_wrote_is_pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspecting, "verified", lambda path: "")
    pushed: list[Path] = []

    def push(layout: Path, reference: str, plain_http: bool) -> str:
        pushed.append(layout)
        return image.digest(layout)

    monkeypatch.setattr("oci.registry.push", push)
    (tmp_path / "a.wasm").write_bytes(b"\0asm\1\0\0\0")
    digest = said("image", str(tmp_path / "a.wasm"), "--oci").split(": ")[1].strip()
    assert said("push", str(tmp_path / "a.image"), "127.0.0.1:1/x") == f"127.0.0.1:1/x@{digest}\n"
    assert pushed == [tmp_path / "a.image"]
    assert "is an image already" in refused("push", "--oci", str(tmp_path / "a.image"), "127.0.0.1:1/x")
    assert "is a folder, and no image; give a module, or what" in refused("push", str(tmp_path), "127.0.0.1:1/x")


def a_log(*lines: str) -> str:
    return "".join(f"[2026-11-29 02:13:35.858][21309][error][wasm] [context.cc:1157] {line}\n" for line in lines)


def test_why_a_filter_refuses_its_configuration_is_read_from_the_log() -> None:
    begin, failed = (
        "wasm log h2: proxy_on_configure (context 1):",
        "Wasm VM failed Failed to configure base Wasm plugin",
    )
    places = (("proxy_wasm/x.py", 2), ("a.py", 3), ("python/json/decoder.py", 4))
    frames = [f'{begin}   File "{file}", line {line}, in on_configure' for file, line in places]
    first = a_log(f"{begin} ValueError: an older one", failed)
    traceback = a_log(f"{begin} Traceback (most recent call last):", *frames, f"{begin} TypeError: a: b", failed)
    assert log.refusal("") == log.refusal(a_log("another error")) == ""
    assert log.refusal(first) == "ValueError: an older one"
    assert log.refusal(first + traceback + a_log("Plugin h2 failed to load")) == "a.py:3: TypeError: a: b"
    assert log.refusal(first + a_log(failed)) == "on_configure() does not return True"


def test_what_was_logged_before_the_configuration_is_not_why_a_filter_refuses_it() -> None:
    failed = "Wasm VM failed Failed to configure base Wasm plugin"
    raised = [f"wasm log h2: proxy_on_new_connection (context 2): {line}" for line in ("Traceback:", "OSError: x")]
    assert log.refusal(a_log(*raised, failed)) == "on_configure() does not return True"
    assert log.refusal(a_log(*raised, "wasm log h2: no such field: x", failed)) == "no such field: x"


def test_bytes_that_cannot_be_sent_are_told() -> None:
    for data in ("\\u20ac", "\\x"):
        assert "--data has an escape that means no byte" in refused(
            "connect", "127.0.0.1:1", "--source", "10.0.0.1", "--data", data
        )


def test_a_cache_without_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    packed = tmp_path / "runtime.wasm.gz"
    packed.write_bytes(b"")
    monkeypatch.setattr(runtime, "files", lambda: [packed])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ToolchainError, match=r"cannot write to the cache .*: No space left on device; set XDG_"):
        runtime.prepared()
    assert not list((tmp_path / "cache" / "proxy-wasm").iterdir())


def test_a_damaged_cache_says_which_folder_to_delete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, kept = tmp_path / "stdlib.zip.gz", tmp_path / "kept"
    packed.write_bytes(gzip.compress(b"the standard library"))
    monkeypatch.setattr(runtime, "files", lambda: [packed])
    kept.mkdir()
    (kept / "stdlib.zip").write_bytes(b"the standard library")
    with pytest.raises(zipfile.BadZipFile, match="another"), building._blaming_the_cache(kept):
        raise zipfile.BadZipFile("another")
    (kept / "stdlib.zip").write_bytes(b"the standard libr")
    one_line = rf"stdlib\.zip is damaged: delete the folder {kept}, and the next build makes it anew$"
    with pytest.raises(ToolchainError, match=one_line), building._blaming_the_cache(kept):
        raise zipfile.BadZipFile("File is not a zip file")
    (kept / "stdlib.zip").unlink()
    with pytest.raises(ToolchainError, match=one_line), building._blaming_the_cache(kept):
        raise zipfile.BadZipFile("no such file")


def test_a_server_that_is_no_registry_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspecting, "verified", lambda path: "")
    (tmp_path / "a.wasm").write_bytes(b"\0asm\1\0\0\0")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.recv(1000)
                accepted.sendall(b"junk\n")

        thread = threading.Thread(target=answer)
        thread.start()
        error = refused("push", str(tmp_path / "a.wasm"), f"127.0.0.1:{listener.getsockname()[1]}/x:1")
        thread.join()
    assert "the answer is no HTTP" in error and "is the port a registry's?" in error
