"""What is forgotten, collected or raised."""

import contextlib
import copy
import decimal
import logging
import sys
import traceback
import types
import xml.etree.ElementTree as ElementTree
from typing import Any
from xml.parsers import expat

from tests.host.guests.deep.cases import DEPTH, by_kind, each
from tests.host.guests.deep.structures import NESTS, Node, a_list, nest
from tests.host.guests.deep.unguarded import Bases, chained, looped, proxies, suspended, wrapped_method, wrapped_partial

each(
    None,
    by_kind(NESTS, "forget", lambda wrap: nest(wrap, 1) and None)
    | {
        "forget objects": lambda: nest(Node) and None,
        "forget cells": lambda: nest(lambda inner: lambda: inner) and None,
        "forget methods": lambda: wrapped_method() and None,
        "forget partials": lambda: wrapped_partial() and None,
        "forget proxies": lambda: bool([proxies()]),
        "forget frozensets": lambda: nest(lambda inner: frozenset([inner])) and None,
        "forget new generators": lambda: nest(chained, iter([1])) and None,
        "forget exceptions": lambda: contexts() and None,
        "forget elements": lambda: elements() and None,
        "forget finalizers": lambda: nest(Finalized) and None,
        "forget tracebacks": lambda: tracebacks(),
        "forget code": lambda: nest(lambda inner: (lambda: 0).__code__.replace(co_consts=(inner,)), 1, 1000) and None,
        "contexts": lambda: contexts(),
    },
)


class Finalized(Node):
    def __del__(self) -> None:
        self.inner = None


def contexts() -> BaseException:
    error: BaseException = ValueError("first")
    for _ in range(DEPTH):
        outer = ValueError("next")
        outer.__context__ = error
        error = outer
    return error


def groups() -> Any:
    return nest(lambda inner: ExceptionGroup("group", [inner]), ValueError("inner"))


def tracebacks() -> None:
    with contextlib.suppress(KeyError):
        far_raise(20_000)


def far_raise(depth: int) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 1000)
    try:
        raise_at(depth)
    finally:
        sys.setrecursionlimit(limit)


def raise_at(depth: int) -> None:
    if depth:
        raise_at(depth - 1)
    raise KeyError


def elements() -> Any:
    root = element = ElementTree.Element("a")
    for _ in range(DEPTH):
        element = ElementTree.SubElement(element, "a")
    return root


def document_type(depth: int) -> None:
    parser = expat.ParserCreate()
    parser.ElementDeclHandler = lambda name, model: None
    parser.Parse("<!DOCTYPE a [<!ELEMENT a " + "(" * depth + "b" + ")" * depth + ">]><a/>", True)


def entities(depth: int) -> None:
    declared = "".join(f'<!ENTITY a{i + 1} "&a{i};">' for i in range(depth))
    expat.ParserCreate().Parse(f'<!DOCTYPE a [<!ENTITY a0 "0">{declared}]><a b="&a{depth};"/>', True)


each(
    RecursionError,
    {
        "throw suspended": lambda: suspended().throw(RecursionError),
        "issubclass of bases": lambda: issubclass(nest(Bases, int), str),
        "group split": lambda: groups().split(TypeError),
        "group subgroup": lambda: groups().subgroup(ValueError),
        "group repr": lambda: repr(groups()),
        "element deepcopy": lambda: copy.deepcopy(elements()),
        "expat model": lambda: document_type(50_000),
    },
)
each(
    None,
    {
        "format contexts": lambda: "".join(traceback.format_exception(contexts())) and None,
        "print contexts": lambda: sys.__excepthook__(ValueError, nest_context(2000), None),
        "log contexts": lambda: logging.getLogger("deep").error("deep", exc_info=nest_context(2000)),
        "close suspended": lambda: suspended().close(),
        "next yield from": lambda: next(nest(chained, iter([1]))),
        "next of loops": lambda: next(nest(looped, iter([1]))),
        "repr alias of lists": lambda: repr(types.GenericAlias(list, a_list(200))),
        "alias parameters": lambda: types.GenericAlias(list, a_list()),
        "expat entities": lambda: entities(20_000),
        "forget suspended": lambda: suspended() and None,
        "big integers": lambda: (3**50_000 * 7**50_000) % 10**1000,
        "decimals": lambda: decimal.Decimal(3) ** 10_000,
        "parse elements": lambda: ElementTree.fromstring("<a>" * DEPTH + "</a>" * DEPTH) and None,
    },
)


def nest_context(depth: int) -> BaseException:
    error: BaseException = ValueError("first")
    for _ in range(depth):
        outer = ValueError("next")
        outer.__context__ = error
        error = outer
    return error
