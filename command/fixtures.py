"""What a test of a filter has by itself: the pytest fixtures `vm`, `wasm_vm` and `envoy`, for the project that pytest runs in."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from proxy_wasm.testing.envoy import RunningEnvoy
from proxy_wasm.testing.lifecycle import Vm
from toolchain.tools import ToolchainError

if TYPE_CHECKING:
    from command.project import Project
    from proxy_wasm import RootContext

_Found = TypeVar("_Found")
_ERROR = 4  # the ABI's log level

# What the fixtures need is imported when one of them is used: pytest loads this file in every run, of whatever project.


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--wasm`."""
    group = parser.getgroup("proxy-wasm")
    group.addoption("--wasm", action="store_true", help="the fixture vm is the built module, as wasm_vm is")


@pytest.fixture(scope="session")
def _project(pytestconfig: pytest.Config) -> Project:
    from command import project

    return _failing(lambda: project.find(pytestconfig.rootpath))


@pytest.fixture(scope="session")
def _root_classes(_project: Project) -> dict[str | None, type[RootContext]]:
    from proxy_wasm import _dispatch

    if str(_project.root) not in sys.path:
        sys.path.insert(0, str(_project.root))
    before = dict(_dispatch.root_classes)
    importlib.import_module(_project.filter)
    registered = {root: found for root, found in _dispatch.root_classes.items() if before.get(root) is not found}
    # A test file may have imported the filter before.
    return registered or dict(_dispatch.root_classes)


@pytest.fixture(scope="session")
def _module(_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from command import building

    out = tmp_path_factory.mktemp("proxy-wasm") / f"{_project.name}.wasm"
    _failing(lambda: building.build_apart(_project, out))
    return out


@pytest.fixture
def vm(request: pytest.FixtureRequest) -> Vm:
    """The filter in this process, started with the project's configuration; with `--wasm` it is the built module."""
    found: Vm = request.getfixturevalue("wasm_vm" if request.config.getoption("--wasm") else "_in_process")
    return found


@pytest.fixture
def _in_process(_project: Project, _root_classes: dict[str | None, type[RootContext]]) -> Iterator[Vm]:
    from proxy_wasm import register
    from proxy_wasm.testing.inprocess import InProcess

    with InProcess(next(iter(_root_classes.values()))) as made:
        for root, root_class in _root_classes.items():
            if root is not None:
                register(root_class, root)
        yield _started(made, _project)
        _show_errors(made)


@pytest.fixture
def wasm_vm(_module: Path, _project: Project) -> Iterator[Vm]:
    """The built module on wasmtime, started with the project's configuration. The first test that uses it builds."""
    from command import runtime
    from proxy_wasm.testing.wasm import WasmModule

    made = _started(WasmModule(_module, cache=runtime.cache() / "modules"), _project)
    yield made
    _show_errors(made)


def _show_errors(vm: Vm) -> None:
    """Prints what the filter logged as errors: pytest shows it beside a test that failed, and an exception is no riddle."""
    for line in vm.host.lines(_ERROR):
        print(line, file=sys.stderr)


@pytest.fixture(scope="session")
def envoy(_project: Project, _module: Path) -> Iterator[RunningEnvoy]:
    """A real Envoy with the project's `envoy.yaml`, on free ports, and the built module; without an Envoy the test is skipped."""
    from command import proxy

    try:
        proxy.find_envoy()
    except ToolchainError as error:
        pytest.skip(str(error))
    with tempfile.TemporaryDirectory(prefix="proxy-wasm-") as scratch:
        work = Path(scratch)
        served = _failing(lambda: proxy.Served(_project, work, free_ports=True))
        _failing(lambda: served.publish(_module.read_bytes()))
        running = proxy.running(served, work)
        found = _failing(running.__enter__)
        try:
            yield RunningEnvoy(found.listeners[served.ways()[0].listener], found.log)
        finally:
            running.__exit__(None, None, None)


def _started(vm: Vm, project: Project) -> Vm:
    if not vm.start(configuration=project.configured()):
        log = "\n".join(vm.host.lines())
        where = project.configuration.name if project.configuration else "an empty configuration"
        pytest.fail(f"the filter does not start with {where}:\n{log}", pytrace=False)
    vm.host.logs.clear()
    return vm


def _failing(function: Callable[[], _Found]) -> _Found:
    """Fails the test with a `ToolchainError`'s text instead of a traceback."""
    try:
        return function()
    except ToolchainError as error:
        pytest.fail(str(error), pytrace=False)
