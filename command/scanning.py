"""Finds what can do nothing in a proxy in a project's own sources: calls of files, sockets, threads and processes, and imports."""

from __future__ import annotations

import ast
import builtins
import contextlib
import difflib
import importlib.util
import io
import pkgutil
import tokenize
from collections.abc import Collection, Iterator
from pathlib import Path

import proxy_wasm
from command import lacking
from command.project import Project
from toolchain.tools import ToolchainError

_FILES = "there are no files in a proxy; put the data into a Python module, or into the plugin's configuration"
_SOCKETS = "there are no sockets in a proxy; ask a cluster with self.fetch() or http_call()"
_THREADS = "there are no threads in a proxy; use set_tick_period() and on_tick()"
_PROCESSES = "there are no processes in a proxy"
_ENVIRONMENT = "a proxy gives a filter no environment variables; use the plugin's configuration"
_WAITS = "nothing may wait in a proxy; use set_tick_period() and on_tick(), or an async callback"
_NO_DEBUGGER = "no debugger can stop a proxy; run the callback in a test, where `proxy-wasm test` stops"
_NO_EXIT = "nothing ends a VM; return, or raise an exception"
_NO_END = "a VM ends without a word; use on_done()"
_NO_LOOP = "asyncio has no event loop in a proxy; await self.fetch(), proxy_wasm.gather() or proxy_wasm.timers.sleep()"
_NO_ZONES = "time zones are files; have the package tzdata in packages, which puts them into the module"
_ONE_NAME = "a dot is no step of a path; write property_path(...) with a text for each step"
_NOBODY_AWAITS = "nothing is done until it is awaited; write await before it"
_NOT_AWAITED = "only an async callback can wait for the answer; make this one async def, and await it"

_WHY = {
    _FILES: """
        open io.open io.FileIO codecs.open os.open os.fdopen os.listdir os.scandir os.walk os.stat os.lstat os.mkdir os.makedirs os.remove
        os.unlink os.rename os.replace os.rmdir os.chdir os.getcwd os.access os.path.exists os.path.isfile os.path.isdir os.path.getsize
        os.path.getmtime glob.glob glob.iglob shutil tempfile fileinput linecache.getline mmap.mmap dbm.open shelve.open
        importlib.resources pkgutil.get_data logging.FileHandler
    """,
    _SOCKETS: """
        socket.socket socket.create_connection socket.create_server socket.getaddrinfo socket.gethostbyname socket.gethostname ssl
        urllib.request http.client http.server socketserver selectors smtplib ftplib imaplib poplib xmlrpc asyncio.open_connection
        asyncio.start_server
    """,
    _THREADS: "threading.Thread threading.Timer _thread.start_new_thread concurrent.futures.ThreadPoolExecutor asyncio.to_thread",
    _PROCESSES: """
        subprocess multiprocessing concurrent.futures.ProcessPoolExecutor os.system os.popen os.fork os.kill os.execv os.execvp os.spawnv
        os.posix_spawn signal.signal asyncio.create_subprocess_exec asyncio.create_subprocess_shell
    """,
    _ENVIRONMENT: "os.getenv os.environ",
    _WAITS: "time.sleep asyncio.run asyncio.get_event_loop input select.select",
    _NO_DEBUGGER: "breakpoint pdb.set_trace pdb.post_mortem",
    _NO_EXIT: "exit quit sys.exit os._exit os.abort",
    _NO_END: "atexit.register",
    _NO_ZONES: "zoneinfo.ZoneInfo",
    _NO_LOOP: """
        asyncio.sleep asyncio.gather asyncio.wait asyncio.wait_for asyncio.as_completed asyncio.timeout asyncio.create_task
        asyncio.TaskGroup asyncio.ensure_future asyncio.get_running_loop asyncio.new_event_loop asyncio.Event asyncio.Lock
        asyncio.Queue asyncio.Semaphore
    """,
}
_CALLS = {name: why for why, names in _WHY.items() for name in names.split()}
"""Functions, classes and whole modules by their names, and why a call of them does nothing."""

_OF_SITE = ("exit", "quit")
"""Builtins that `site` adds: without it, as the tests run, Python does not know them."""

_PATH_METHODS = """
read_text read_bytes write_text write_bytes open iterdir glob rglob walk exists is_file is_dir mkdir unlink rmdir rename replace stat touch
"""
_OF_PATHS = frozenset(_PATH_METHODS.split())
_PATHS = ("pathlib.Path", "pathlib.PosixPath")

_TO_AWAIT = ("proxy_wasm.gather", "proxy_wasm.timers.sleep", "proxy_wasm.timers.wait_for", "proxy_wasm.grpc.unary")
_ATTRIBUTES = frozenset({"source", "destination", "connection", "request", "response", "upstream", "xds", "plugin"})

_ROOT = "RootContext"
_OF_ROOTS = ("stream_context", "http_context", "failure_policy")
"""The attributes of a root that are no callbacks. register() refuses a wrong name of a callback, and cannot know these."""
_CLOSE = 0.8


def scan(project: Project, library: Collection[str] = (), has_zones: bool = False) -> list[str]:
    """Returns a sentence for each call, with its file and line, in the filter's module and in what it imports of the project.

    Of a submodule that the standard library has not, and nearly has, it is said too. `has_zones`: the filter has the package tzdata.
    """
    found: list[str] = []
    for path in _sources(project):
        where = path.relative_to(project.root).as_posix()
        try:
            tree = ast.parse(path.read_bytes(), where)
        except (OSError, SyntaxError, ValueError, RecursionError):
            # That it does not compile, the build says better; and its Python may be newer than this one.
            continue
        seen = _Scanner(tree, library).found()
        found += [f"{where}:{line}: {name}: {why}" for line, name, why in seen if not (has_zones and why == _NO_ZONES)]
    return found


def expect_text(project: Project) -> None:
    """Raises `ToolchainError` if a module of the project is not in its encoding: Python refuses it, and a build does not see it."""
    for path in _sources(project):
        try:
            data, encoding = path.read_bytes(), "utf-8"
        except OSError:
            continue
        # That there is no such encoding, the build says better.
        with contextlib.suppress(SyntaxError):
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        try:
            data.decode(encoding)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            where = f"{path.relative_to(project.root).as_posix()}:{line}"
            raise ToolchainError(
                f"{where}: byte 0x{data[error.start]:02x} is not {encoding}; save the file as UTF-8"
            ) from None


def _sources(project: Project) -> Iterator[Path]:
    todo, seen = [project.filter], set[str]()
    while todo:
        name = todo.pop(0)
        path = _file(project.root, name)
        if name in seen or path is None:
            continue
        seen.add(name)
        yield path
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
        todo += sorted(_imported(tree, package))


def _file(root: Path, name: str) -> Path | None:
    path = root / name.replace(".", "/")
    return next((found for found in (path / "__init__.py", path.parent / f"{path.name}.py") if found.is_file()), None)


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Yields the modules that a module may import; some may be no modules, but what modules have."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".") if package else []
            base = above[: len(above) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _takes_import_errors(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or any(
        ast.unparse(node) in ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
        for node in (handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type])
    )


def _assigned(node: ast.ClassDef) -> Iterator[ast.Name]:
    for part in node.body:
        targets = (
            part.targets if isinstance(part, ast.Assign) else [part.target] if isinstance(part, ast.AnnAssign) else []
        )
        yield from (target for target in targets if isinstance(target, ast.Name))


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Yields what a function has, without that of functions in it."""
    for node in ast.iter_child_nodes(function):
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from _own_nodes(node)


def _first_parameter(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return function.args.args[0].arg if function.args.args else ""


def _unknown(attribute: str) -> str:
    """Returns what is wrong with a name after `proxy_wasm.`; nothing for one that the SDK has."""
    if importlib.util.find_spec(f"{proxy_wasm.__name__}.{attribute}"):
        return f"it is a module that nothing imports here; write `from proxy_wasm import {attribute}`"
    return _unknown_anywhere(attribute)


def _unknown_anywhere(name: str) -> str:
    """Returns the same of a name that is imported, which may be a module's."""
    if hasattr(proxy_wasm, name) or importlib.util.find_spec(f"{proxy_wasm.__name__}.{name}"):
        return ""
    modules = (module.name for module in pkgutil.iter_modules(proxy_wasm.__path__) if not module.name.startswith("_"))
    close = difflib.get_close_matches(name, [*proxy_wasm.__all__, *modules], 1, _CLOSE)
    return f"the SDK has no such name{f'; did you mean {close[0]}?' if close else ''}"


class _Scanner(ast.NodeVisitor):
    """Looks for calls by the names that a module's imports give them."""

    def __init__(self, tree: ast.Module, library: Collection[str]) -> None:
        self._tree, self._library = tree, library
        self._found: list[tuple[int, str, str]] = []
        self._optional = False
        self._modules: set[str] = set()
        self._names: dict[str, str] = {name: name for name in _CALLS if hasattr(builtins, name) or name in _OF_SITE}
        self._note_all(tree, in_class=False)

    def found(self) -> list[tuple[int, str, str]]:
        """Returns line, name and why of each call."""
        self.visit(self._tree)
        return sorted(self._found)

    def _note_all(self, parent: ast.AST, in_class: bool) -> None:
        for node in ast.iter_child_nodes(parent):
            # What a class has is no name for its methods.
            if not (in_class and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign))):
                self._note(node)
            self._note_all(node, isinstance(node, ast.ClassDef))

    def _note(self, node: ast.AST) -> None:
        """Remembers a name that an import gives, and forgets one that the module uses for something else anywhere."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._modules.add(alias.name)
                if alias.asname:
                    self._names[alias.asname] = alias.name
                else:
                    top = alias.name.partition(".")[0]
                    self._names[top] = top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                self._names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                self._modules |= {str(node.module), f"{node.module}.{alias.name}"}
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self._names.pop(node.name, None)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self._names.pop(node.id, None)
        elif isinstance(node, ast.arg):
            self._names.pop(node.arg, None)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Notes an attribute of a root whose name is nearly one that the SDK reads."""
        if any(ast.unparse(base).rpartition(".")[2] == _ROOT for base in node.bases):
            given = {target.id: target.lineno for target in _assigned(node)}
            for name, line in given.items():
                close = difflib.get_close_matches(name, _OF_ROOTS, 1, _CLOSE)
                if close and close[0] not in given:
                    self._found.append((line, f"{node.name}.{name}", f"nothing reads this; did you mean {close[0]}?"))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Notes a `fetch` of a callback that cannot await it."""
        for call in _own_nodes(node) if node.name.startswith("on_") else ():
            if isinstance(call, ast.Call) and ast.unparse(call.func) == f"{_first_parameter(node)}.fetch":
                self._found.append((call.lineno, f"{ast.unparse(call.func)}()", _NOT_AWAITED))
        self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """Notes a call that has to be awaited, and whose coroutine is dropped or taken for its result."""
        for taken in _own_nodes(node):
            if isinstance(taken, (ast.Expr, ast.Attribute)) and isinstance(taken.value, ast.Call):
                function = taken.value.func
                name = self._name(function) or ast.unparse(function)
                if name in (*_TO_AWAIT, f"{_first_parameter(node)}.fetch"):
                    self._found.append((taken.lineno, f"{name}()", _NOBODY_AWAITS))
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Notes a name of the SDK's that is none, or a module of it that this one does not import."""
        name = self._name(node)
        if self._name(node.value) == proxy_wasm.__name__ and name not in self._modules and (why := _unknown(node.attr)):
            self._found.append((node.lineno, name, why))
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        """Leaves out what runs only as a program, or is for a type checker."""
        never = "__name__" in ast.dump(node.test) or "TYPE_CHECKING" in ast.dump(node.test)
        for child in [*([] if never else node.body), *node.orelse]:
            self.visit(child)

    def visit_Try(self, node: ast.Try) -> None:
        """Leaves out imports that the source does without."""
        before, self._optional = self._optional, self._optional or any(map(_takes_import_errors, node.handlers))
        for child in node.body:
            self.visit(child)
        self._optional = before
        rest: list[ast.AST] = [*node.handlers, *node.orelse, *node.finalbody]
        for part in rest:
            self.visit(part)

    def visit_Import(self, node: ast.Import) -> None:
        """Notes the modules that are of no use."""
        self._note_useless(node.lineno, [alias.name for alias in node.names])
        for alias in node.names:
            self._note_misspelt(node.lineno, alias.name)
            self._note_unknown(node.lineno, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Notes the modules that are of no use, by their absolute names."""
        if not node.level:
            self._note_useless(
                node.lineno, [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
            )
            self._note_misspelt(node.lineno, str(node.module))
            for alias in node.names:
                self._note_unknown(node.lineno, f"{node.module}.{alias.name}")

    def _note_useless(self, line: int, modules: list[str]) -> None:
        for why in () if self._optional else sorted({lacking.untold(module) for module in modules} - {""}):
            module = next(module for module in modules if lacking.untold(module) == why)
            self._found.append((line, f"import {module}", why))

    def _note_misspelt(self, line: int, module: str) -> None:
        if self._optional or module in self._library or module.partition(".")[0] not in self._library:
            return
        for near in difflib.get_close_matches(module, self._library, 1, _CLOSE):
            self._found.append((line, f"import {module}", f"there is no such module; did you mean {near}?"))

    def _note_unknown(self, line: int, module: str) -> None:
        package, _, rest = module.partition(".")
        name = rest.partition(".")[0]
        is_sdk = package == proxy_wasm.__name__ and name.strip("*") and not self._optional
        if is_sdk and (why := _unknown_anywhere(name)):
            self._found.append((line, f"{package}.{name}", why))

    def visit_Call(self, node: ast.Call) -> None:
        """Notes a call that is in the table."""
        name = self._name(node.func)
        if name and (why := self._why(name)):
            self._found.append((node.lineno, f"{name}()", why))
        elif name == "proxy_wasm.get_property" and node.args and isinstance(node.args[0], ast.Constant):
            first, dot, _ = str(node.args[0].value).removeprefix("b'").partition(".")
            if dot and first in _ATTRIBUTES:
                self._found.append((node.lineno, f"{name}()", _ONE_NAME))
        elif isinstance(node.func, ast.Attribute) and node.func.attr in _OF_PATHS and self._is_path(node.func.value):
            self._found.append((node.lineno, f"pathlib.Path.{node.func.attr}()", _FILES))
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Notes `os.environ[...]`, which is no call."""
        if self._name(node.value) == "os.environ":
            self._found.append((node.lineno, "os.environ", _ENVIRONMENT))
        self.generic_visit(node)

    def _name(self, node: ast.expr) -> str:
        """Returns the dotted name of an expression, by where it was imported from; empty if it has none."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id, "")
        if isinstance(node, ast.Attribute):
            before = self._name(node.value)
            return f"{before}.{node.attr}" if before else ""
        return ""

    def _why(self, name: str) -> str:
        parts = name.split(".")
        return next(filter(None, (_CALLS.get(".".join(parts[:end])) for end in range(len(parts), 0, -1))), "")

    def _is_path(self, node: ast.expr) -> bool:
        """Tells whether an expression is a path for sure: one that is made here, and its parts."""
        if isinstance(node, ast.BinOp):
            return self._is_path(node.left)
        if isinstance(node, ast.Attribute):
            return self._is_path(node.value)
        if isinstance(node, ast.Call):
            return self._name(node.func) in _PATHS or (
                isinstance(node.func, ast.Attribute) and self._is_path(node.func.value)
            )
        return False
