"""What is imported late works as on a desktop, or the build says that it will not be there."""

from __future__ import annotations

import ast
import importlib
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from proxy_wasm.testing.wasm import WasmModule
from tests.host.guests.evaluate import evaluate
from tests.host.late_cases import CODECS, EXPRESSIONS
from tests.host.toolchain_case import RUNTIME, STDLIB, freeze, inputs, write
from toolchain.cpython.imports import AT_IMPORT, CHOSEN, COMPUTED, NAMED_BY_THE_CALLER, NOT_FOLLOWED, WHEN_USED
from toolchain.cpython.waiting import POLLING
from toolchain.recipe import filter
from toolchain.tools import ToolchainError
from toolchain.vm.sources import Sources
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import DATA, FUNC_KIND, Module, Reader, constant
from toolchain.wasm.instructions import read_body, read_instructions

Evaluate = Callable[[str], str]

_REGISTER = """
import proxy_wasm

class Root(proxy_wasm.RootContext):
    def on_configure(self, configuration):
        try:
            proxy_wasm.info(repr(eval(configuration)))
        except Exception as error:
            proxy_wasm.info(f"{type(error).__name__}: {error}")

proxy_wasm.register(Root)
"""


def evaluator(module: Path | bytes, cache: Path) -> Evaluate:
    """Returns a function that has an expression evaluated by the guest, in a VM of its own."""

    def run(expression: str) -> str:
        vm = WasmModule(module, cache=cache)
        assert vm.start(configuration=expression.encode())
        return vm.host.lines()[-1]

    return run


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    return evaluator(Path("tests/host/guests/late.wasm"), tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_means_what_it_means_on_a_desktop(guest: Evaluate, expression: str) -> None:
    assert guest(expression) == evaluate(expression)


def test_what_was_unloaded_at_import_is_there(guest: Evaluate) -> None:
    assert guest("unloaded") == "2j"


def test_a_wrong_format_raises_nothing_in_logging(guest: Evaluate) -> None:
    # Not compared with a desktop's: there pytest has a handler that raises.
    assert guest('logging.getLogger("late").error("%d", "no number")') == "None"


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_does_what_it_does_on_a_desktop(guest: Evaluate, codec: str) -> None:
    expressions = [
        f"codecs.encode('Aé', {codec!r}, 'replace')",
        f"codecs.encode(b'abc', {codec!r})",
        f"codecs.decode(codecs.encode('Abc', {codec!r}), {codec!r})",
    ]
    answers = ast.literal_eval(guest(f"[evaluate(each) for each in {expressions!r}]"))
    for expression, found in zip(expressions, answers, strict=True):
        expected = evaluate(expression)
        # Later versions of Python have other words for some errors.
        assert found == expected or found.partition(":")[0] == expected.partition(":")[0], expression
        assert "unknown encoding" not in found


# ---- what does not work says so


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("time.sleep(1)", "time.sleep"),
        ("threading.Event().wait(1)", "this lock is held"),
        ("threading.Event().wait()", "this lock is held"),
        ("[lock := threading.Lock(), lock.acquire(), lock.acquire()]", "this lock is held"),
        ("[lock := threading.Lock(), lock.acquire(), lock.acquire(timeout=1)]", "this lock is held"),
        ("threading.Semaphore(0).acquire(timeout=1)", "this lock is held"),
        ("threading.Barrier(2).wait(1)", "this lock is held"),
        ("queue.Queue().get()", "this lock is held"),
        ("queue.Queue().get(timeout=1)", "this lock is held"),
        ("threading.Thread(target=print).start()", "no threads"),
        ("__import__('concurrent.futures').futures.ThreadPoolExecutor().submit(print)", "no threads"),
        ("queue.SimpleQueue().get()", "this queue is empty"),
        ("queue.SimpleQueue().get(timeout=1)", "this queue is empty"),
        ("select.select([], [], [], 1)", "select.select"),
        ("select.poll().poll(100)", "poll()"),
        ("__import__('selectors').DefaultSelector().select(1)", "poll()"),
    ],
)
def test_what_would_wait_raises_and_names_the_callback(guest: Evaluate, expression: str, what: str) -> None:
    found = guest(expression)
    assert found.startswith("RuntimeError: ") and what in found
    assert "set_tick_period(milliseconds)" in found and "on_tick" in found


@pytest.mark.parametrize(
    "expression",
    [
        "asyncio.run(asyncio.sleep(1))",
        "asyncio.new_event_loop()",
        "asyncio.get_running_loop()",
        "asyncio.get_event_loop()",
        "asyncio.sleep(1).send(None)",
        "asyncio.gather()",
        "asyncio.timeout(1)",
        "asyncio.Future()",
        "asyncio.Queue().get().send(None)",
        "asyncio.to_thread(print).send(None)",
    ],
)
def test_asyncio_says_in_one_line_that_it_has_no_event_loop(guest: Evaluate, expression: str) -> None:
    assert guest(expression).startswith("RuntimeError: asyncio has no event loop in a proxy")


def test_a_module_that_is_not_there_says_who_left_it_out(guest: Evaluate) -> None:
    assert guest("__import__('turtle')").startswith("ModuleNotFoundError: the filter was built without it")


def test_a_module_of_c_that_nobody_names_is_left_out_and_says_how_to_keep_it(guest: Evaluate) -> None:
    assert guest("__import__('_lsprof')") == (
        "ModuleNotFoundError: no module of the filter imports _lsprof by its name: "
        'keep = ["_lsprof"] keeps it, an attribute of the rule and a line of [tool.proxy-wasm] in pyproject.toml'
    )
    spec = "__import__('types').SimpleNamespace(name='_lsprof')"
    refused = guest(f"__import__('_imp').create_builtin({spec})")
    assert refused.startswith("ImportError: this module of C is not in the filter: name it in keep")


def test_what_is_kept_can_be_imported_and_named(tmp_path: Path) -> None:
    write(tmp_path, {"plugin.py": _REGISTER})
    expressions = {
        "__import__('_csv').QUOTE_ALL": ("_csv", "ModuleNotFoundError: no module of the filter imports _csv", "1"),
        "b'\\xc4\\xe3'.decode('g' + 'bk')": (
            "encodings.gbk",
            'LookupError: no module of the filter names the encoding gbk: keep = ["encodings.gbk"]',
            "'你'",
        ),
    }
    bare = evaluator(freeze(tmp_path).module, tmp_path / "cache")
    kept = tuple(name for name, *_ in expressions.values())
    full = evaluator(filter.freeze(replace(inputs(tmp_path), keep=kept)).module, tmp_path / "cache")
    for expression, (_, refused, value) in expressions.items():
        assert bare(expression).startswith(refused)
        assert full(expression) == value
    with pytest.raises(ToolchainError, match="there is no module _cvs to keep"):
        filter.freeze(replace(inputs(tmp_path), keep=("_cvs",)))


_TRY = """
class Root(proxy_wasm.RootContext):
    def on_configure(self, configuration):
        try:
            proxy_wasm.info(repr(TRIED[configuration.decode()]()))
        except Exception as error:
            proxy_wasm.info(f"{type(error).__name__}: {error}")
        return True

proxy_wasm.register(Root)
"""

# It evaluates no text, so nobody calls what its source does not name.
_BARE = """
import os, sys, proxy_wasm

async def forgotten():
    pass

def digits():
    sys.set_int_max_str_digits(0)
    return len(str(3**40000)), int("7" * 20000) % 1000003, divmod(7**20000, 3**9000)[1] % 1000003

BUILTINS = vars(sys.modules["builtins"])
TRIED = {
    "import": lambda: __import__("typ" + "ing"),
    "call": lambda: getattr(os.path, "expand" + "vars")("$HOME"),
    "errors": lambda: "é".encode("ascii", "name" + "replace"),
    "identifier": lambda: collections.namedtuple("X", ["é"]),
    "pattern": lambda: re.compile("\\\\" + "N{DIGIT ONE}"),
    "union": lambda: type(int | str)["x"],
    "reduce": lambda: getattr(complex(1), "__reduce" + "_ex__")(2),
    "eval": lambda: BUILTINS["ev" + "al"]("1 + 1"),
    "exec": lambda: BUILTINS["ex" + "ec"]("x = 1"),
    "compile": lambda: BUILTINS["comp" + "ile"](b"x = 1", "x.py", "exec"),
    "tree": lambda: BUILTINS["comp" + "ile"]("x = 1", "x.py", "exec", 0x400),
    "code": lambda: BUILTINS["ev" + "al"]((lambda: 6 * 7).__code__),
    "dictionary": lambda: len(sys.modules["boot"]._dictionary),
    "digits": digits,
    "forgotten": lambda: forgotten() and None,
}
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    root = tmp_path_factory.mktemp("bare")
    write(root, {"plugin.py": _BARE + _TRY, "more.py": f"import collections, re\n{_BARE}{_TRY}"})
    less, more = (evaluator(freeze(root, module).module, root / "cache") for module in ("plugin", "more"))
    return lambda tried: (more if tried in ("identifier", "pattern") else less)(tried)


@pytest.mark.parametrize(
    ("tried", "module"),
    [
        ("import", "typing"),
        ("errors", "unicodedata"),
        ("identifier", "unicodedata"),
        ("pattern", "unicodedata"),
        ("union", "typing"),
    ],
)
def test_what_the_filter_does_not_name_says_how_to_keep_it(bare: Evaluate, tried: str, module: str) -> None:
    refused = bare(tried)
    assert f'no module of the filter imports {module} by its name: keep = ["{module}"] keeps it' in refused


@pytest.mark.parametrize("tried", ["eval", "exec", "compile", "tree"])
def test_a_filter_that_compiles_nothing_says_how_to_keep_the_compiler(bare: Evaluate, tried: str) -> None:
    assert bare(tried) == (
        "RuntimeError: the filter was built without CPython's compiler, as no module of it calls compile, eval or exec: "
        "name _ast in keep, an attribute of the rule and a line of [tool.proxy-wasm] in pyproject.toml"
    )
    assert bare("code") == "42"


def test_the_compiler_can_be_kept(tmp_path: Path) -> None:
    write(tmp_path, {"plugin.py": _BARE + _TRY})
    full = evaluator(filter.freeze(replace(inputs(tmp_path), keep=("_ast",))).module, tmp_path / "cache")
    assert [full(tried) for tried in ("eval", "exec")] == ["2", "None"]
    assert full("tree").startswith("Module(body=[Assign(")


def test_what_cpython_does_without_a_module_of_its_library(bare: Evaluate) -> None:
    assert bare("digits") == str((19085, 7 * (10**20000 - 1) // 9 % 1000003, 7**20000 % 3**9000 % 1000003))
    assert bare("reduce").startswith("(<function __newobj__ at")
    vm_lines = bare("forgotten")
    assert "never awaited" in vm_lines or vm_lines == "None"


def test_a_filter_has_a_dictionary_if_it_saves_more_than_it_takes(bare: Evaluate, guest: Evaluate) -> None:
    assert bare("dictionary") == "0"
    assert int(guest("len(__import__('sys').modules['boot']._dictionary)")) > 0


def test_nothing_is_in_a_module_that_only_uncalled_functions_import(tmp_path: Path) -> None:
    write(tmp_path, {"with.py": f"import os\nHOME = os.path.expandvars\n{_BARE}{_TRY}", "without.py": _BARE + _TRY})
    late = {name: {m.name for m in freeze(tmp_path, name).modules if m.late} for name in ("with", "without")}
    assert late["without"] <= {"_pylong", "copyreg", "encodings.ascii", "struct"}
    assert "re" in late["with"]


_LIBRARY = """
import importlib, json, pdb, typing, proxy_wasm

def hinted(number: "int", names: "list[str] | None" = None) -> "str":
    pass

def fail():
    try:
        1 / 0
    except ZeroDivisionError as error:
        pdb.post_mortem(error.__traceback__)

def late():
    import colorsys
    return importlib.reload(colorsys).__name__

TRIED = {
    "breakpoint": lambda: breakpoint(),
    "set_trace": lambda: pdb.set_trace(),
    "Pdb": lambda: pdb.Pdb().set_trace(),
    "post_mortem": fail,
    "reload": lambda: importlib.reload(json),
    "reload of C": lambda: importlib.reload(importlib.import_module("time")).__name__,
    "reload late": late,
    "hints": lambda: typing.get_type_hints(hinted),
}
"""
_MAIL = """
import email.utils, proxy_wasm

TRIED = {
    "make_msgid": lambda: email.utils.make_msgid(),
    "argparse": lambda: __import__("arg" + "parse"),
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    root = tmp_path_factory.mktemp("library")
    write(root, {"plugin.py": _LIBRARY + _TRY})
    return evaluator(freeze(root).module, root / "cache")


@pytest.mark.parametrize("tried", ["breakpoint", "set_trace", "Pdb", "post_mortem"])
def test_a_debugger_says_that_it_would_wait(library: Evaluate, guest: Evaluate, tried: str) -> None:
    refused = library(tried)
    assert refused.startswith("RuntimeError: a debugger would wait, and nothing may wait in a proxy")
    assert "run the callback in a test, where `proxy-wasm test` stops at breakpoint()" in refused
    # Whether the filter names the debugger or not.
    assert guest("breakpoint()") == refused


def test_a_debugger_at_import_ends_the_build(tmp_path: Path) -> None:
    write(tmp_path, {"plugin.py": f"breakpoint()\n{_REGISTER}"})
    with pytest.raises(ToolchainError, match=r'File "plugin.py", line 1(.|\n)*a debugger would wait'):
        freeze(tmp_path)


def test_a_module_whose_code_is_not_kept_is_not_loaded_anew(library: Evaluate) -> None:
    assert library("reload") == (
        "ModuleNotFoundError: json cannot be loaded anew in a proxy: its code ran when the filter was built, and is not kept; "
        "set its attributes instead"
    )
    assert (library("reload of C"), library("reload late")) == ("'time'", "'colorsys'")


def test_type_hints_are_read_without_anything_to_keep(library: Evaluate) -> None:
    assert library("hints") == str({"number": int, "names": list[str] | None, "return": str})


def test_a_module_for_programs_says_how_to_have_it(tmp_path: Path) -> None:
    write(tmp_path, {"plugin.py": _MAIL + _TRY, "more.py": f"import argparse, socket\n{_MAIL}{_TRY}"})
    refused, allowed = (evaluator(freeze(tmp_path, name).module, tmp_path / "cache") for name in ("plugin", "more"))
    for tried, module in {"make_msgid": "socket", "argparse": "argparse"}.items():
        assert refused(tried) == (
            "ModuleNotFoundError: the filter was built without it; import it at the top of one of its modules: "
            f"No module named {module!r}"
        )
    assert allowed("make_msgid").endswith("@(none)>'") and "argparse" in allowed("argparse")


_XML = """
import xml.parsers.expat

def said(encoding, byte):
    found = []
    parser = xml.parsers.expat.ParserCreate()
    parser.CharacterDataHandler = found.append
    try:
        parser.Parse(b'<?xml version="1.0" encoding="%s"?><a>%c</a>' % (encoding.encode(), byte), True)
    except xml.parsers.expat.ExpatError:
        return None
    return "".join(found)

def read(encoding):
    return [said(encoding, byte) for byte in range(0x80, 0x100)]

class Tried:
    def __getitem__(self, encoding):
        return lambda: read(encoding)

TRIED = Tried()
"""


@pytest.fixture(scope="module")
def expat(tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    root = tmp_path_factory.mktemp("xml")
    write(root, {"plugin.py": f"import proxy_wasm\n{_XML}{_TRY}"})
    return evaluator(freeze(root).module, root / "cache")


def test_a_document_is_read_in_every_single_byte_encoding_that_a_desktop_reads(expat: Evaluate) -> None:
    desktop: dict[str, Any] = {}
    exec(_XML, desktop)
    tables = [name for name in CODECS if hasattr(importlib.import_module(f"encodings.{name}"), "decoding_table")]
    read = {name: desktop["read"](name) for name in tables}
    expected = {name for name, texts in read.items() if any(texts)}
    # A document says these by other names, or not at all.
    assert set(CHOSEN["xml.parsers.expat"]) - {"charmap", "latin_1"} == expected - {"iso8859_1"}
    for name in sorted(expected - {"palmos"}):
        assert expat(name) == repr(read[name]), name
    # Its table is another one since Python 3.14.
    assert expat("palmos").startswith("['€'")


@pytest.mark.parametrize("encoding", ["mac-arabic", "CP500"])
def test_a_document_in_another_encoding_says_how_to_keep_it(expat: Evaluate, encoding: str) -> None:
    name = encoding.lower().replace("-", "_")
    assert expat(encoding) == (
        f'LookupError: no module of the filter names the encoding {name}: keep = ["encodings.{name}"] keeps it, '
        "an attribute of the rule and a line of [tool.proxy-wasm] in pyproject.toml"
    )


@pytest.mark.parametrize("name", ["ssl", "_ssl", "ctypes", "bz2", "fcntl", "tkinter"])
def test_a_module_without_its_c_library_says_so(guest: Evaluate, name: str) -> None:
    found = guest(f"__import__({name!r})")
    assert found == f"ModuleNotFoundError: CPython in a proxy has no C library for it: No module named {name!r}"


@pytest.mark.parametrize(
    "expression", ["socket()", "socketpair()", "getaddrinfo('a', 80)", "create_connection(('127.0.0.1', 80))"]
)
def test_a_socket_names_what_there_is_instead(guest: Evaluate, expression: str) -> None:
    found = guest(f"__import__('socket').{expression}")
    assert found.startswith("OSError: there are no sockets in a proxy") and "fetch()" in found


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os')._exit(1)",
        "__import__('os').abort()",
        "__import__('signal').raise_signal(15)",
        "__import__('faulthandler')._sigsegv()",
        "pickle.loads(b'cos\\n_exit\\n(I1\\ntR.')",
    ],
)
def test_what_would_end_the_vm_raises(guest: Evaluate, expression: str) -> None:
    assert guest(expression).startswith("RuntimeError: this would end the VM")


def test_clocks_that_count_from_the_start_count_from_the_vms(guest: Evaluate) -> None:
    assert guest("0 <= time.process_time() < 1, 0 <= time.monotonic() < 1, 0 <= time.perf_counter() < 1") == str(
        (True, True, True)
    )


@pytest.mark.parametrize(
    "expression", ["__import__('concurrent.futures').futures.ProcessPoolExecutor()", "__import__('multiprocessing')"]
)
def test_a_pool_of_processes_says_that_there_are_none(guest: Evaluate, expression: str) -> None:
    assert guest(expression).startswith("ModuleNotFoundError: there are no processes in a proxy: No module named")


def test_a_time_zone_without_tzdata_names_the_package(guest: Evaluate) -> None:
    found = guest("zoneinfo.ZoneInfo('Europe/Berlin')")
    assert found.startswith("ZoneInfoNotFoundError") and "tzdata" in found


# ---- what is in a module


def test_time_zones_are_read_from_the_module(tmp_path: Path) -> None:
    # Two hours east of Greenwich since 1970: one type, no transition, and the rule in words.
    body = b"\0" * 15 + b"\0\0\0\0" * 3 + (0).to_bytes(4, "big") + (1).to_bytes(4, "big") + (4).to_bytes(4, "big")
    zone = b"TZif2" + body + (7200).to_bytes(4, "big") + b"\0\0EET\0"
    zone = zone + zone + b"\nEET-2\n"
    write(tmp_path, {"tzdata/__init__.py": "", "tzdata/zoneinfo/__init__.py": ""})
    write(tmp_path, {"plugin.py": "import zoneinfo, datetime\nEARLY = zoneinfo.ZoneInfo('Test/Early')\n" + _REGISTER})
    for name in ("Early", "Late"):
        (tmp_path / "tzdata/zoneinfo/Test").mkdir(exist_ok=True)
        (tmp_path / "tzdata/zoneinfo/Test" / name).write_bytes(zone)
    run = evaluator(freeze(tmp_path).module, tmp_path / "cache")
    for name in ("EARLY", "zoneinfo.ZoneInfo('Test/Late')"):
        assert run(f"datetime.datetime(2024, 1, 2, tzinfo={name}).isoformat()") == "'2024-01-02T00:00:00+02:00'"
    assert run("sorted(zoneinfo.available_timezones())") == "['Test/Early', 'Test/Late']"
    # Zones of several names are in the module once.
    assert run("len(set(map(id, __import__('sys').modules['boot'].ZONES.values())))") == "1"
    assert run("zoneinfo.ZoneInfo('Test/Nowhere')").startswith("ZoneInfoNotFoundError")


def test_an_import_in_a_function_is_in_the_module(tmp_path: Path) -> None:
    files = {
        "plugin.py": "def late():\n    import json, mine.part\n    return json.dumps(mine.part.VALUE)\n" + _REGISTER,
        "mine/__init__.py": "",
        "mine/part.py": "from mine import other\nVALUE = [other.VALUE]\n",
        "mine/other.py": "VALUE = 7\n",
    }
    write(tmp_path, files)
    built = freeze(tmp_path)
    assert built.warnings == []
    assert evaluator(built.module, tmp_path / "cache")("late()") == "'[7]'"


def test_what_a_function_imports_is_there_whatever_its_name_and_whatever_it_tries_before(tmp_path: Path) -> None:
    source = """
        import importlib
        def main():
            import colorsys
            return colorsys.rgb_to_hsv(1, 0, 0)
        def escape(text):
            try:
                from json import escape
            except ImportError:
                from html import escape
            return escape(text)
        def by_keyword():
            return importlib.import_module(name="textwrap").dedent(" a")
    """
    write(tmp_path, {"plugin.py": dedent(source) + _REGISTER})
    run = evaluator(freeze(tmp_path).module, tmp_path / "cache")
    assert run("main(), escape('<'), by_keyword()") == str(((0.0, 1.0, 1), "&lt;", "a"))


def test_the_librarys_computed_imports_are_in_the_module(tmp_path: Path) -> None:
    """Nobody names these modules, and all of them are imported when a connection comes."""
    source = """
        import cProfile, importlib.resources, io, types, xml.dom, xml.sax
        def zone():
            import zoneinfo
            return str(zoneinfo.ZoneInfo.from_file(io.BytesIO(ZONE), "Test")), zoneinfo.TZPATH
        def sax():
            class Handler(xml.sax.ContentHandler):
                def startElement(self, name, attributes):
                    names.append(name)
            names = []
            xml.sax.parseString(b"<a><b/></a>", Handler())
            return names
        def dom():
            return xml.dom.getDOMImplementation().createDocument(None, "a", None).toxml()
        def profiled():
            profile = cProfile.Profile()
            profile.runcall(sax)
            profile.print_stats()
            return "profiled"
        def resources():
            try:
                return importlib.resources.files(types).joinpath("x").is_file()
            except TypeError as error:
                return str(error)
    """
    zone = (
        b"TZif" + b"\0" * 16 + b"\0\0\0\0" * 4 + (1).to_bytes(4, "big") + (4).to_bytes(4, "big") + b"\0" * 6 + b"UTC\0"
    )
    write(tmp_path, {"plugin.py": dedent(source) + f"ZONE = {zone!r}\n" + _REGISTER})
    run = evaluator(freeze(tmp_path).module, tmp_path / "cache")
    assert run("zone()") == "('Test', ())"
    assert run("sax()") == "['a', 'b']"
    assert run("dom()") == """'<?xml version="1.0" ?><a/>'"""
    assert run("profiled()") == "'profiled'"
    assert "_adapters" not in run("resources()")


def test_every_computed_import_of_the_library_is_known() -> None:
    """Whoever imports by a name that is no text in its source is in one of the two tables."""
    computed = re.compile(r"""\b(?:import_module|__import__)\((?!\)|(['"])[\w.]+\1[,)])""")
    written = re.compile(r"^ *(?:#|def |>>>)|``")
    programs = ("idlelib", "turtledemo", "frozen")
    found = set()
    with zipfile.ZipFile(STDLIB) as library:
        for path in library.namelist():
            if path.endswith(".py") and not path.startswith(programs):
                lines = library.read(path).decode("utf-8", "replace").splitlines()
                if any(computed.search(line) and not written.search(line) for line in lines):
                    found.add(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    assert found == {*COMPUTED, *NAMED_BY_THE_CALLER}


def test_an_import_that_will_fail_is_a_warning(tmp_path: Path) -> None:
    source = """\
class Stream:
    def on_new_connection(self):
        import nowhere.part
    def on_delete(self):
        try:
            import orjson
        except ImportError:
            orjson = None
def other():
    from native import fast
def third():
    import ssl
"""
    write(tmp_path, {"plugin.py": source + _REGISTER, "native.cpython-311-x86_64-linux-gnu.so": ""})
    assert freeze(tmp_path).warnings == [
        "plugin.py:3: nowhere.part is imported in on_new_connection, and will not be in the proxy: "
        "there is no such module at build time",
        "plugin.py:10: native is imported in other, and will not be in the proxy: "
        "native is compiled (native.cpython-311-x86_64-linux-gnu.so); only pure Python fits",
        "plugin.py:12: ssl is imported in third, and will not be in the proxy: CPython in a proxy lacks a module that it imports",
    ]


def test_a_module_that_does_not_compile_is_left_out_with_a_warning(tmp_path: Path) -> None:
    source = """def late():
    try:
        import broken
    except ImportError as error:
        return str(error)
"""
    write(tmp_path, {"plugin.py": source + _REGISTER, "broken.py": "x = 1\nfrom __future__ import annotations\n"})
    frozen = freeze(tmp_path)
    assert frozen.warnings == ["broken.py: broken does not compile, and will not be in the proxy: run it to see where"]
    run = evaluator(frozen.module, tmp_path / "cache")
    assert "the filter was built without it" in run("late()")


def test_nothing_that_nobody_can_import_is_in_a_module(tmp_path: Path) -> None:
    """`time` is loaded in every interpreter; only who writes `strptime` gets what that imports."""
    write(tmp_path, {"with.py": "import time\nparse = lambda text: time.strptime(text)\n" + _REGISTER})
    write(tmp_path, {"without.py": "import time\n" + _REGISTER})
    expression = "__import__('sys').modules['boot'].LATE.keys() & {'_strptime', 'calendar', 'email', 'encodings.cp437'}"
    # Of what `_strptime` needs, something decodes by a name that it is given.
    for module, expected in (("without", []), ("with", ["_strptime", "calendar", "encodings.cp437"])):
        run = evaluator(freeze(tmp_path, module).module, tmp_path / "cache")
        assert run(f"sorted({expression})") == repr(expected)


# ---- what CPython's C code imports

_IMPORTERS = (
    *("PyImport_ImportModule", "PyImport_ImportModuleAttrString", "PyImport_ImportModuleLevelObject"),
    *("PyImport_Import", "PyImport_GetModule", "PyCapsule_Import"),
)
_TEXT_OF_STATIC_STR = 20
"""Where the text of a str begins that is part of CPython's own data."""


def _function_names() -> dict[int, str]:
    lines = RUNTIME.with_suffix(".names").read_text().splitlines()
    return {int(index): name for index, name in (line.split(" ", 1) for line in lines)}


def _c_imports() -> dict[str, set[str]]:
    """Returns, for each function of C that imports, the modules whose names it has at hand."""
    module = Module(RUNTIME.read_bytes())
    names = _function_names()
    importers = {index for index, name in names.items() if name in _IMPORTERS}
    memory = _memory(module)
    known = {*Sources([], STDLIB).names(), *Sources([], STDLIB).late_index["builtin"]}
    found = {}
    for index, body in enumerate(module.bodies(), sum(i.kind == FUNC_KIND for i in module.imports())):
        code = list(read_instructions(read_body(body).code))
        if importers & {i.operands[0] for i in code if i.opcode == wasm.CALL}:
            at = [i.operands[0] for i in code if i.opcode == wasm.I32_CONST]
            texts = {
                memory[a : memory.find(b"\0", a)]
                for n in at
                for a in (n, n + _TEXT_OF_STATIC_STR)
                if 0 < a < len(memory)
            }
            named = {text.decode() for text in texts if re.fullmatch(rb"[\w.]{2,40}", text)}
            # A capsule is named with its module.
            found[names[index]] = {
                *named,
                *(name.rpartition(".")[0] for name in named if name.endswith("CAPI")),
            } & known
    return found


def _memory(module: Module) -> bytes:
    memory = bytearray()
    reader = Reader(module.get(DATA))
    for _ in reader.repeat():
        reader.u8()
        address, data = constant(reader.expression()), reader.take(reader.u32())
        memory += bytes(max(0, address + len(data) - len(memory)))
        memory[address : address + len(data)] = data
    return bytes(memory)


def test_the_tables_have_what_cpythons_c_code_imports() -> None:
    found = _c_imports()
    # The search finds what everybody knows to be there.
    assert found["time_strptime"] >= {"_strptime"} and "warnings" in found["get_warnings_attr"]
    tables = {name for targets in (*AT_IMPORT.values(), *WHEN_USED.values()) for name in targets} | set(NOT_FOLLOWED)
    builtin = set(Sources([], STDLIB).late_index["builtin"])
    missing = {function: names - tables - builtin for function, names in found.items()}
    assert {function: names for function, names in missing.items() if names} == {}


_HARMLESS = {
    "PyThread_acquire_lock_timed": "the lock of buffered files and of C modules, which another thread would have to hold",
    "_PyThreadState_Attach": "there is no other thread that could hold the GIL",
    "_PyThreadState_HangThread": "a thread that outlives the interpreter",
    "__pthread_cond_timedwait": "see its callers",
    "sock_call_ex": "there is no socket to call it on",
}


def test_nothing_else_in_cpython_waits() -> None:
    """A wait that is new, or in another function, is seen here."""
    module = Module(RUNTIME.read_bytes())
    names = _function_names()
    waiting = {index for index, name in names.items() if name in POLLING}
    callers = {
        names[index]
        for index, body in enumerate(module.bodies(), sum(i.kind == FUNC_KIND for i in module.imports()))
        if waiting & {i.operands[0] for i in read_instructions(read_body(body).code) if i.opcode == wasm.CALL}
    }
    assert callers <= set(_HARMLESS)
    assert "sock_call_ex" in callers  # the search finds what everybody knows to be there


def test_the_tables_have_nothing_else() -> None:
    found = set().union(*_c_imports().values())
    listed = {name for targets in (*AT_IMPORT.values(), *WHEN_USED.values()) for name in targets}
    builtin = set(Sources([], STDLIB).late_index["builtin"])
    assert listed - found - builtin == set()
