"""What a test of a filter has by itself: the pytest fixtures `vm`, `wasm_vm` and `envoy`, for the project that the test lies in."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import tempfile
import traceback
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

import proxy_wasm
from command.own_modules import OwnModules
from proxy_wasm.testing.envoy import RunningEnvoy
from proxy_wasm.testing.lifecycle import Vm
from toolchain.tools import ToolchainError

if TYPE_CHECKING:
    from command.project import Project
    from proxy_wasm import RootContext

_Found = TypeVar("_Found")
_WARN = 3  # the ABI's log level
_OWN_MODULES = pytest.StashKey[OwnModules]()
_VMS = pytest.StashKey[list[Vm]]()
_RAISED = """\
the filter raised in a callback, and the failure policy decided. Did the test mean that? Then let it say so:
    assert "{error}" in vm.take_failures()[0]
"""

# What the fixtures need is imported when one of them is used: pytest loads this file in every run, of whatever project.


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--wasm`, `--envoy` and `--module`."""
    group = parser.getgroup("proxy-wasm")
    group.addoption("--wasm", action="store_true", help="the fixture vm is the built module, as wasm_vm is")
    group.addoption("--envoy", action="store_true", help="the fixture vm is a real Envoy with the built module")
    group.addoption(
        "--module", metavar="FILE", help="the built module, instead of one built now; {name} is the project's"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuses a `--module` that is not there, before any test."""
    given = config.getoption("--module")
    if given and "{name}" not in given and not Path(given).is_file():
        raise pytest.UsageError(_no_module(given))


def _no_module(path: str) -> str:
    return f"--module: there is no file {path}; `proxy-wasm build` makes build/NAME.wasm"


@pytest.hookimpl(tryfirst=True)
def pytest_make_collect_report(collector: pytest.Collector) -> None:
    """Separates the modules of one project from those of another, before a test file is imported."""
    if isinstance(collector, pytest.Module):
        _separate(collector)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Separates them before a test, too."""
    _separate(item)


def _separate(node: pytest.Item | pytest.Collector) -> None:
    from command import project

    with contextlib.suppress(ToolchainError):
        found = project.find(node.path.parent)
        node.config.stash.setdefault(_OWN_MODULES, OwnModules()).enter(found.directory, found.root)
        # A test file may import the filter, in whatever way pytest imports the test file.
        if str(found.root) not in sys.path:
            sys.path.insert(0, str(found.root))


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fails a test in which a callback raised and which did not ask for it."""
    result = yield
    for vm in item.stash.get(_VMS, ()):
        if failures := vm.take_failures():
            error = failures[0].rpartition("): ")[2].partition(":")[0]
            pytest.fail("\n".join([_RAISED.format(error=error), *failures]), pytrace=False)
    return result


class _Kept:
    """What tests of one run share: for each project its classes, its module, and an Envoy."""

    def __init__(self, open_until_the_end: contextlib.ExitStack) -> None:
        self.root_classes: dict[Project, dict[str | None, type[RootContext]]] = {}
        self.modules: dict[Project, Path] = {}
        self.envoys: dict[Project, RunningEnvoy] = {}
        self.open_until_the_end = open_until_the_end


@pytest.fixture(scope="session")
def _kept() -> Iterator[_Kept]:
    with contextlib.ExitStack() as open_until_the_end:
        yield _Kept(open_until_the_end)


@pytest.fixture
def _project(request: pytest.FixtureRequest) -> Project:
    from command import project

    return _failing(lambda: project.find(request.path.parent))


@pytest.fixture
def _root_classes(_project: Project, _kept: _Kept) -> dict[str | None, type[RootContext]]:
    if _project not in _kept.root_classes:
        _kept.root_classes[_project] = _imported(_project)
    return _kept.root_classes[_project]


def _imported(project: Project) -> dict[str | None, type[RootContext]]:
    from proxy_wasm import _dispatch

    before = dict(_dispatch.root_classes)
    if why := _failed_import(project):
        pytest.fail(f"{project.filter} cannot be imported: {why}", pytrace=False)
    registered = {root: found for root, found in _dispatch.root_classes.items() if before.get(root) is not found}
    # A test file may have imported the filter before.
    found = registered or dict(_dispatch.root_classes)
    if not found:
        pytest.fail(
            f"{project.filter} registers no context; end it with proxy_wasm.register(YourRootContext)", pytrace=False
        )
    return found


def _failed_import(project: Project) -> str:
    """Imports the filter; returns what it raised, with the author's lines of the traceback."""
    try:
        importlib.import_module(project.filter)
    except (Exception, SystemExit) as error:
        return _without_ours(error)
    return ""


def _without_ours(error: BaseException) -> str:
    ours = ("<frozen ", importlib.__file__, __file__, str(Path(proxy_wasm.__file__).parent))
    told = traceback.TracebackException.from_exception(error)
    told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(ours)]
    # Of a syntax error, the lines about its place are indented.
    lines = list(told.format_exception_only())
    what = next(line for line in lines if not line.startswith(" "))
    lines.remove(what)
    return "".join([what, *told.stack.format(), *lines])


@pytest.fixture
def _module(_project: Project, _kept: _Kept, request: pytest.FixtureRequest) -> Path:
    given: str | None = request.config.getoption("--module")
    if given:
        module = Path(given.replace("{name}", _project.name)).absolute()
        if not module.is_file():
            pytest.fail(_no_module(str(module)), pytrace=False)
        return module
    if _project not in _kept.modules:
        from command import building

        scratch = _kept.open_until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="proxy-wasm-"))
        out = Path(scratch, f"{_project.name}.wasm")
        _failing(lambda: building.build_apart(_project, out))
        _kept.modules[_project] = out
    return _kept.modules[_project]


@pytest.fixture
def vm(request: pytest.FixtureRequest) -> Vm:
    """The filter in this process, started with the project's configuration; with `--wasm` it is the built module.

    With `--envoy` it is a real Envoy.
    """
    options = request.config.option
    name = "_envoy_vm" if options.envoy else "wasm_vm" if options.wasm else "_in_process"
    found: Vm = request.getfixturevalue(name)
    return found


@pytest.fixture
def _in_process(
    _project: Project, _root_classes: dict[str | None, type[RootContext]], request: pytest.FixtureRequest
) -> Iterator[Vm]:
    from proxy_wasm import register
    from proxy_wasm.testing.inprocess import InProcess

    with InProcess(next(iter(_root_classes.values()))) as made:
        for root, root_class in _root_classes.items():
            if root is not None:
                register(root_class, root)
        yield from _watched(request, _started(made, _project))


@pytest.fixture
def wasm_vm(_module: Path, _project: Project, request: pytest.FixtureRequest) -> Iterator[Vm]:
    """The built module on wasmtime, started with the project's configuration. The first test that uses it builds."""
    from command import runtime
    from proxy_wasm.testing.wasm import ModuleError, WasmModule

    try:
        made = WasmModule(_module, cache=runtime.cache() / "modules")
    except ModuleError as error:
        pytest.fail(f"{_module}: {error}", pytrace=False)
    yield from _watched(request, _started(made, _project))


@pytest.fixture
def _envoy_vm(_project: Project, _module: Path, request: pytest.FixtureRequest) -> Iterator[Vm]:
    _need_envoy()
    if importlib.util.find_spec("h2") is None:
        pytest.skip('there is no h2 here, with which tests speak to Envoy: `pip install "proxy-wasm[envoy]"` brings it')
    from command import envoy_running

    with tempfile.TemporaryDirectory(prefix="proxy-wasm-") as scratch, contextlib.ExitStack() as stack:
        made = _failing(lambda: stack.enter_context(envoy_running.running(_project, _module, Path(scratch))))
        made.start_lines = made.host.lines()
        made.host.logs.clear()
        yield from _watched(request, made)


def _watched(request: pytest.FixtureRequest, vm: Vm) -> Iterator[Vm]:
    """Gives a VM to a test, and prints what the filter warned of: pytest shows it beside a test that failed."""
    request.node.stash.setdefault(_VMS, []).append(vm)
    yield vm
    for level, line in vm.host.logs:
        if level >= _WARN:
            print(line, file=sys.stderr)


@pytest.fixture
def envoy(_project: Project, _module: Path, _kept: _Kept) -> RunningEnvoy:
    """A real Envoy with the project's `envoy.yaml`, on free ports, and the built module; without an Envoy the test is skipped.

    All tests of a project share it.
    """
    from command import proxy

    _need_envoy()
    if _project not in _kept.envoys:
        enter = _kept.open_until_the_end.enter_context
        work = Path(enter(tempfile.TemporaryDirectory(prefix="proxy-wasm-")))
        served = _failing(lambda: proxy.Served(_project, work, free_ports=True))
        _failing(lambda: served.publish(_module.read_bytes()))
        found = _failing(lambda: enter(proxy.running(served, work)))
        _kept.envoys[_project] = RunningEnvoy(found.listeners[served.ways()[0].listener], found.log)
    return _kept.envoys[_project]


def _need_envoy() -> None:
    from command import proxy

    try:
        proxy.find_envoy()
    except ToolchainError as error:
        pytest.skip(str(error))


def _started(vm: Vm, project: Project) -> Vm:
    from command import proxy

    vm_configuration, configuration, root_id = _failing(lambda: proxy.settings(project))
    if not vm.start(vm_configuration, configuration, root_id):
        log = "\n".join(vm.host.lines())
        where = project.configuration or project.envoy
        pytest.fail(f"the filter does not start with the configuration of {where.name}:\n{log}", pytrace=False)
    vm.start_lines = vm.host.lines()
    vm.host.logs.clear()
    return vm


def _failing(function: Callable[[], _Found]) -> _Found:
    """Fails the test with a `ToolchainError`'s text instead of a traceback."""
    try:
        return function()
    except ToolchainError as error:
        pytest.fail(str(error), pytrace=False)
