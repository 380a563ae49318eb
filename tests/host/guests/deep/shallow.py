"""What is not deep, and has to go on working."""

import copy
import json
import pickle
import re
from typing import Any

from tests.host.guests.deep.cases import SHALLOW, by_kind, each
from tests.host.guests.deep.structures import NESTS, a_dict, a_list, a_tuple, nest

each(
    None,
    by_kind(NESTS, "100 repr", lambda wrap: repr(nest(wrap, 1, 100)))
    | {
        "300 json": lambda: json.loads(json.dumps(a_list(SHALLOW))),
        "300 pickle": lambda: pickle.loads(pickle.dumps(a_dict(SHALLOW))),
        "300 deepcopy": lambda: copy.deepcopy(a_list(SHALLOW)),
        "300 equal": lambda: a_dict(SHALLOW) == a_dict(SHALLOW),
        "300 hash": lambda: hash(a_tuple(SHALLOW)),
        "100 getattr": lambda: nested_getattr(100),
        "80 re": lambda: re.compile("(" * 80 + ")" * 80),
    },
)


class Delegate:
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def nested_getattr(depth: int) -> Any:
    return nest(Delegate, "text", depth).upper()
