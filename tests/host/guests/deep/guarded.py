"""Recursion that the interpreter's own guard sees."""

import copy
import dataclasses
import gc
import json
import pickle
import pprint
from typing import Any

from tests.host.guests.deep.cases import DEPTH, by_kind, each
from tests.host.guests.deep.structures import COMPARED, NESTS, Data, Node, a_dict, a_list, a_tuple, nest

each(RecursionError, by_kind(NESTS, "repr", lambda wrap: repr(nest(wrap, 1))))
each(
    RecursionError,
    by_kind(
        COMPARED,
        "equal",
        lambda wrap: nest(wrap, 1) == nest(wrap, 1),
    ),
)
each(
    RecursionError,
    {
        "str": lambda: str(a_list()),
        "ascii": lambda: ascii(a_list()),
        "print": lambda: print(a_list()),
        "f-string": lambda: f"{a_list()}",
        "format": lambda: f"{a_list()!s:>10}",
        "percent": lambda: "%s" % (a_list(),),  # noqa: UP031
        "repr frozenset": lambda: repr(nest(lambda inner: frozenset([inner]))),
        "less": lambda: a_list() < a_list(),
        "contains": lambda: a_tuple() in [a_tuple()],
        "index": lambda: [a_tuple()].index(a_tuple()),
        "json.dumps": lambda: json.dumps(a_list()),
        "json.dumps dict": lambda: json.dumps(a_dict()),
        "json.dumps indent": lambda: json.dumps(a_list(), indent=1),
        "json.loads": lambda: json.loads("[" * DEPTH + "]" * DEPTH),
        "json.loads dict": lambda: json.loads('{"k":' * DEPTH + "1" + "}" * DEPTH),
        "pickle.dumps": lambda: pickle.dumps(a_list()),
        "pickle.dumps dict": lambda: pickle.dumps(a_dict()),
        "pickle.dumps object": lambda: pickle.dumps(nest(Node)),
        "pickle.dumps in Python": lambda: pickle._dumps(a_list()),  # type: ignore[attr-defined]
        "deepcopy": lambda: copy.deepcopy(a_list()),
        "deepcopy object": lambda: copy.deepcopy(nest(Node)),
        "isinstance": lambda: isinstance(1, nest(lambda inner: (inner,), str)),
        "issubclass": lambda: issubclass(int, nest(lambda inner: (inner,), str)),
        "pprint": lambda: pprint.pformat(a_list()),
        "asdict": lambda: dataclasses.asdict(nest(Data, 1)),
    },
)
each(
    None,
    {
        "pickle.loads": lambda: pickle.loads(b"\x80\x04" + b"]" * DEPTH + b"a" * (DEPTH - 1) + b"."),
        "copy": lambda: copy.copy(a_list()),
        "gc": lambda: (a_list(), nest(Node), gc.collect()),
        "gc of a cycle": lambda: _cycle(),
    },
)


def _cycle() -> None:
    inner: list[Any] = []
    outer = nest(lambda held: [held], inner)
    inner.append(outer)
    del inner, outer
    gc.collect()
