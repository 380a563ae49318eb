"""How componentize-py is called, and how the component that it makes is put together."""

from __future__ import annotations

from typing import Any

COMPONENTIZE: dict[str, Any] = {
    "worlds": ["boot"],
    "features": [],
    "all_features": False,
    "world_module": None,
    "module_worlds": [],
    "stub_wasi": True,
    "import_interface_names": [],
    "export_interface_names": [],
    "full_names": False,
    "intersect_world": None,
}
"""The parameters of `componentize_py.componentize` beside the paths and the program."""

LIBRARIES = {
    "libpython": "PyLong_FromLong",
    "libc": "__wasilibc_reset_preopens",
    "libdl": "__wasm_set_libraries",
    "helpers": "PyInit_componentize_py_runtime",
}
"""The libraries that the merge knows by name, each by a function that it alone exports; `helpers` is componentize-py's own."""

LIBPYTHON = "libpython3.14.so"
"""The name by which componentize-py's linker knows CPython."""

FROZEN_TABLES = ("_PyImport_FrozenBootstrap", "_PyImport_FrozenStdlib")
"""CPython's variables that point to its tables of frozen modules."""

BUILTINS = "PyImport_Inittab"
"""CPython's variable that points to its list of modules of C."""

SHADOW_STACK = 0x100000
"""How many bytes the shadow stack has, from address 0 on: componentize-py links it so."""

WASI_VERSION = "@0.2.0"
"""What the names of WASI's interfaces end with, as CPython's libc imports them."""
