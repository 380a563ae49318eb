"""What the boundary keeps of classes, roots and streams that are over (classes.h, attributes.h) is what Python would look up each time."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.wasm import WasmModule
from tests.host.toolchain_case import build

# A request says what its callback does, in Python.
GUEST = """
import weakref

import _proxy_wasm
import proxy_wasm
from proxy_wasm import Action, HttpContext

log = proxy_wasm.info
kept = []
table = _proxy_wasm.Table()

class Base(HttpContext):
    def on_response_headers(self, header_count, end_of_stream):
        log(f"response {header_count} {end_of_stream}")

class Request(Base):
    count = 0

    def on_request_headers(self, header_count, end_of_stream):
        log(f"request {sorted(vars(self))} {self._state}")
        exec(self.request_headers.get("x-do", b"").decode(), globals(), {"self": self, "cls": type(self), "root": self.root})

class Slotted(HttpContext):
    __slots__ = ("own", "__weakref__")
    on_response_headers = Base.on_response_headers

    def on_request_headers(self, header_count, end_of_stream):
        log(f"slotted {hasattr(self, 'own')} {self.request_headers.get('x-do')}")
        self.own = header_count
        kept.append(weakref.ref(self, lambda _: log("gone")))

class Other(HttpContext):
    def on_request_headers(self, header_count, end_of_stream):
        log("other")

class Meta(type):
    pass

class Unusual(Base, metaclass=Meta):
    def __getattribute__(self, name):
        if name == "on_response_headers":
            log("asked")
        return super().__getattribute__(name)

    def on_request_headers(self, header_count, end_of_stream):
        log("unusual")

class Root(proxy_wasm.RootContext):
    http_context = Request

    def on_tick(self):
        for do in self.dos:
            try:
                told = repr(eval(do))
            except KeyError as error:
                told = repr(error)
            log(told)

    def on_configure(self, configuration):
        self.dos = configuration.decode().splitlines()
        return True

proxy_wasm.register(Root)
"""
NOTHING = ""
CHANGES = {
    "a method of the class": ["cls.on_response_headers = lambda self, count, end: log('patched')", *[NOTHING] * 2],
    "a method of the base": ["Base.on_response_headers = lambda self, count, end: log('patched')", *[NOTHING] * 2],
    "the first method": ["cls.on_request_headers = lambda self, count, end: log('patched')", *[NOTHING] * 2],
    "no method any more": ["cls.on_response_headers = HttpContext.on_response_headers", NOTHING],
    "a static method": ["cls.on_response_headers = staticmethod(lambda count, end: log('static'))", NOTHING],
    "no function": [
        "cls.on_response_headers = type('Call', (), {'__call__': lambda _, count, end: log('called')})()",
        NOTHING,
    ],
    "an object's own method": ["self.on_response_headers = lambda count, end: log('own')", *[NOTHING] * 2],
    "one by its dictionary": ["vars(self)['on_response_headers'] = lambda count, end: log('own')", NOTHING],
    "one by a new dictionary": ["self.__dict__ = {'on_response_headers': lambda count, end: log('own')}", NOTHING],
    "one among many": [
        "for i in range(40): setattr(self, f'a{i}', i)\nself.on_response_headers = lambda *_: log('own')",
        NOTHING,
    ],
    "one taken back": [
        "self.on_response_headers = lambda count, end: log('own')\ndel self.on_response_headers",
        "self.a = 1\ndel self.a\nself.on_response_headers = lambda count, end: log('own')",
        NOTHING,
    ],
    "another class": [
        "self.__class__ = type('Changed', (Request,), {'on_response_headers': lambda *_: log('changed')})",
        NOTHING,
    ],
    "attributes": ["self.a, self.b = 1, 2", "self.b = 3", "self.a = self", NOTHING],
    "getattribute": [
        "cls.__getattribute__ = lambda self, name: log('asked') if name == 'on_log' else object.__getattribute__(self, name)",
        "del cls.__getattribute__",
        NOTHING,
    ],
    "a constructor": [
        "cls.__init__ = lambda self, number, root: (HttpContext.__init__(self, number, root), log('made'))[0]",
        *[NOTHING] * 2,
        "del cls.__init__",
        NOTHING,
    ],
    "an end": ["cls.on_delete = lambda self: log('deleted')", NOTHING, "del cls.on_delete", NOTHING],
    "a finalizer": ["cls.__del__ = lambda self: log('finalized')", NOTHING, "del cls.__del__", NOTHING],
    "a weak reference": ["kept.append(weakref.ref(self, lambda _: log('gone')))", NOTHING],
    "a reference": [
        "kept.append(self)",
        "other = kept.pop()\nlog(f'{other is self} {other._state}')\ntry: other.reset()\nexcept Exception as error: log(repr(error))",
        NOTHING,
    ],
    "an attribute's end": [
        "self.end = type('End', (), {'__del__': lambda _: log('the end of an attribute')})()",
        NOTHING,
    ],
    "the class of one root": ["root.http_context = Other", NOTHING, NOTHING],
    "the class of all roots": ["type(root).http_context = Other", NOTHING, NOTHING],
    "a class of roots that counts": [
        *["type(root).count = getattr(root, 'count', 0) + 1\nlog(f'{root.count}')"] * 110,
        "type(root).http_context = Other",
        NOTHING,
    ],
    "no class": ["root.http_context = None", NOTHING],
    "a class and back": ["root.http_context = Other\ndel root.http_context", "root.http_context = Other", NOTHING],
    "a class with slots": ["root.http_context = Slotted", *[NOTHING] * 3],
    "a class with a metaclass": ["root.http_context = Unusual", *[NOTHING] * 2],
    "a property": ["type(root).http_context = property(lambda root: Other)", *[NOTHING] * 2],
    "a dictionary of the root's": ["vars(root)['http_context'] = Other", NOTHING],
    "a new dictionary of the root's": ["root.__dict__ = {'http_context': Other, 'dos': ()}", NOTHING],
    "a class that counts": ["cls.count += 1\nlog(f'{cls.count}')"] * 130
    + ["cls.on_response_headers = lambda *_: log('patched')", NOTHING],
    "many classes": ["root.http_context = type('C', (Request,), {'on_response_headers': lambda *_: log('its own')})"]
    * 12
    + [NOTHING],
    "an exception": ["raise RuntimeError('on purpose')", NOTHING],
}


def told(vm: Vm, requests: list[str]) -> list[str]:
    assert vm.start(configuration=b"")
    # The boundary has found out by then what there is to know.
    for do in [NOTHING, NOTHING, "self.warm = 1", *requests]:
        exchange = vm.exchange()
        exchange.request({"x-do": do})
        if exchange.local_response is None:
            exchange.respond(200)
        exchange.close()
    # Of a traceback only its end is the same everywhere.
    return [line for line in vm.host.lines() if not line.partition("): ")[2].startswith((" ", "Traceback"))]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build(tmp_path_factory.mktemp("guest"), {"plugin.py": GUEST})


def in_process() -> InProcess:
    names: dict[str, Any] = {"__name__": "plugin"}
    source = GUEST.replace("proxy_wasm.register(Root)", "")
    exec(compile(source, "plugin.py", "exec"), names)
    return InProcess(names["Root"])


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_means_in_a_module_what_it_means_in_python(change: str, module: bytes, cache: Path) -> None:
    with in_process() as vm:
        wanted = told(vm, CHANGES[change])
    assert told(WasmModule(module, cache=cache), CHANGES[change]) == wanted
    assert len(wanted) > len(CHANGES[change])


def _script(seed: int) -> list[str]:
    """Returns expressions about a table, of numbers that often fall on one another's places."""
    drawn = random.Random(seed)
    numbers = [0, 16, 32, 1, 17, 2**32 - 1, 2**31, 5, 21, 37, 53, *range(100, 140)]
    forms = (
        "table.__setitem__({0}, {1})",
        "table.get({0})",
        "table.pop({0}, None)",
        "{0} in table",
        "len(table)",
        "sorted(table)",
        "table.__delitem__({0})",
        "table[{0}]",
        "bool(table)",
        "table.get({0}, {1})",
    )
    weights = (8, 3, 3, 1, 1, 1, 2, 2, 1, 1)
    chosen = drawn.choices(forms, weights, k=600)
    return [form.format(drawn.choice(numbers), drawn.randrange(1000)) for form in chosen]


def test_a_table_is_a_dict(module: bytes, cache: Path) -> None:
    script = "\n".join(_script(1)).encode()
    lines = []
    with in_process() as plain:
        for vm in (plain, WasmModule(module, cache=cache)):
            assert vm.start(configuration=script)
            vm.tick()
            lines.append(vm.host.lines())
    assert lines[0] == lines[1] and len(lines[0]) == 600
