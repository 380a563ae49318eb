"""The C boundary: `_proxy_wasm`, a CPython extension module that joins libpython to the Proxy-Wasm ABI.

Its host calls and callbacks are generated from the ABI table; what they share is `boundary.h`. The extension is linked to lie in
memory and table behind the libraries, which the flattener then enlarges by what the extension asks for.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from toolchain.guard import stackguard
from toolchain.tools import Tools

Abi = dict[str, Any]

_C_TYPES = {"u32": ["u32"], "u64": ["u64"], "i64": ["i64"], "bytes": ["const char *", "u32"]}
_C_TYPES |= {"out-u32": ["u32 *"], "out-u64": ["u64 *"], "out-bytes": ["char **", "u32 *"]}
_TAKE = {"u32": "PyLong_AsUnsignedLong", "u64": "PyLong_AsUnsignedLongLong", "i64": "PyLong_AsLongLong"}
_TAKEN = {"bytes": "str or bytes", "u32": "int", "u64": "int", "i64": "int"}
_GIVE = {
    "out-u32": "PyLong_FromUnsignedLong(%s)",
    "out-u64": "PyLong_FromUnsignedLongLong(%s)",
    "out-bytes": "give_bytes(%s, %s_size)",
}

# A stream that is held back is made before any of its callbacks, but with `proxy_on_new_connection` and in the same call.
_BEFORE = {
    "proxy_on_context_create": ["  settle(context_id);", "  if (hold_back(context_id, parent_context_id)) return;"],
    "proxy_on_new_connection": [
        "  u32 parent = held_back_parent(context_id);",
        "  if (parent) return run_connection(context_id, parent);",
    ],
    "proxy_on_delete": [
        "  settle(context_id);",
        "  if (!is_known(context_id)) return;",
        "  if (latest.context_id == context_id) latest.context_id = 0;",
    ],
}

# What is linked with the generated source, each beside the program that is about it.
_SOURCES = ("boundary/wasi.c", "runtime/waits.c", "runtime/start.c", "guard/recursion.c")

# What the snapshot uses begins with `build_`: it is not part of the ABI, and gone from a built filter.
BUILD_PREFIX = "build_"
BUILD_START = "build_start"
BUILD_RELOCATE, BUILD_CONSTRUCT = "build_relocate ", "build_construct "  # and the library's name
BUILD_GLOBAL = "build_global_"
STACK_POINTER = "build_stack_pointer"


def read_abi(path: Path) -> Abi:
    """Returns the ABI table (`proxy_wasm/abi.toml`)."""
    return tomllib.loads(path.read_text())


def _host_call(name: str, call: dict[str, Any], status: dict[str, int]) -> list[str]:
    parameters: dict[str, str] = call["parameters"]
    inputs = {p: kind for p, kind in parameters.items() if not kind.startswith("out-")}
    outputs = {p: kind for p, kind in parameters.items() if kind.startswith("out-")}
    declared = [c for kind in parameters.values() for c in _C_TYPES[kind]]
    lines = [f"u32 HOST({name})({', '.join(declared) or 'void'});"]
    lines += [f"static PyObject *py_{name}(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {{"]
    lines += [f'  if (count != {len(inputs)}) return usage("{name}({", ".join(inputs)})");']
    passed = []
    for i, (p, kind) in enumerate(inputs.items()):
        wrong = f'return wrong_argument("{name}", "{p}", "{_TAKEN[kind]}", arguments[{i}]);'
        if kind == "bytes":
            lines += [f"  Bytes {p};", f"  if (!take_bytes(arguments[{i}], &{p})) {wrong}"]
        else:
            lines += [f"  {kind} {p} = {_TAKE[kind]}(arguments[{i}]);", f"  if (!~{p} && PyErr_Occurred()) {wrong}"]
    for p, kind in parameters.items():
        if kind == "bytes":
            passed += [f"{p}.data", f"{p}.size"]
        elif kind == "out-bytes":
            lines += [f"  char *{p} = 0;", f"  u32 {p}_size = 0;"]
            passed += [f"&{p}", f"&{p}_size"]
        elif kind in outputs.values():
            lines += [f"  {kind.removeprefix('out-')} {p} = 0;"]
            passed += [f"&{p}"]
        else:
            passed += [p]
    lines += [f"  u32 status = {name}({', '.join(passed)});"]
    nothing = " || ".join(f"status == {status[answer]}" for answer in call.get("absent", []))
    lines += [f'  if (status) return {f"{nothing} ? new_none() : " if nothing else ""}failed("{name}", status);']
    results = [_GIVE[kind].replace("%s", p) for p, kind in outputs.items()]
    if len(results) > 1:
        lines += [f"  PyObject *results = PyTuple_New({len(results)});", "  if (!results) return 0;"]
        lines += [f"  PyTuple_SetItem(results, {i}, {result});" for i, result in enumerate(results)]
        results = ["results"]
    lines += [f"  return {results[0] if results else 'new_none()'};", "}", ""]
    return lines


def _callback(index: int, name: str, callback: dict[str, Any]) -> list[str]:
    parameters = callback["parameters"]
    signature = ", ".join(f"u32 {p}" for p in parameters)
    fallback = callback.get("failed", 0)
    result = callback.get("result")
    read = "as_action" if result == "action" else "as_number"
    run = f'run_callback(callbacks[{index}], "{name}", numbers, {len(parameters)}, {fallback}, {read});'
    return [
        f'EXPORT("{name}") {"u32" if result else "void"} export_{name}({signature}) {{',
        *_BEFORE.get(name, ["  settle(context_id);"]),
        f"  u32 numbers[] = {{{', '.join(parameters)}}};",
        f"  {'return ' if result else ''}{run}",
        "}",
        "",
    ]


def generate(abi: Abi) -> str:
    """Returns the C source of the extension module for this ABI table."""
    calls, callbacks = abi["host_call"], abi["callback"]
    names = ", ".join(f'"{name}"' for name in callbacks)
    lines = ["// Generated from the ABI table by boundary.py.", '#include "address.h"', '#include "boundary.h"', ""]
    for name, call in calls.items():
        lines += _host_call(name, call, abi["status"])
    lines += [f"static const char *const callback_names[] = {{{names}}};"]
    lines += [f"static PyObject *callbacks[{len(callbacks)}];", ""]
    lines += ["static void settle(u32 context_id) {"]
    lines += ["  u32 parent = held_back_parent(context_id), numbers[] = {context_id, parent};"]
    create = list(callbacks).index("proxy_on_context_create")
    lines += [f'  if (parent) run_callback(callbacks[{create}], "proxy_on_context_create", numbers, 2, 0, as_number);']
    lines += ["}", ""]
    for index, (name, callback) in enumerate(callbacks.items()):
        lines += _callback(index, name, callback)
    own = ["register", "set_status_handler", "set_error_handler", "set_action_type", "set_connection_handler"]
    own += ["packed_address"]
    table = ",\n  ".join(f'{{"{name}", py_{name}, METH_FASTCALL, 0}}' for name in (*own, *calls))
    abi_version = abi["version"].replace(".", "_")
    return (
        "\n".join(lines)
        + f"""\
static PyObject *py_register(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {{
  Bytes name;
  if (count != 2) return usage("register(callback, function)");
  if (!take_bytes(arguments[0], &name)) return 0;
  for (u32 i = 0; i < {len(callbacks)}; i++)
    if (same(callback_names[i], name.data)) return replace(&callbacks[i], arguments[1]);
  return usage("register(): no callback of the ABI has this name");
}}
static PyObject *py_set_status_handler(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {{
  return count == 1 ? replace(&status_handler, arguments[0]) : usage("set_status_handler(function)");
}}
static PyObject *py_set_error_handler(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {{
  return count == 1 ? replace(&error_handler, arguments[0]) : usage("set_error_handler(function)");
}}
static PyObject *py_set_action_type(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {{
  return count == 1 ? replace(&action_type, arguments[0]) : usage("set_action_type(type)");
}}
static PyObject *py_set_connection_handler(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {{
  if (count != 3) return usage("set_connection_handler(function, roots, streams)");
  Py_DecRef(replace(&known_roots, arguments[1]));
  Py_DecRef(replace(&known_streams, arguments[2]));
  return replace(&connection_handler, arguments[0]);
}}

static Method methods[] = {{
  {table}
}};

int start_boundary(void) {{
  none = Py_GetConstantBorrowed(0);
  PyObject *text = PyUnicode_FromString("");
  str_type = Py_TYPE(text);
  PyErr_BadArgument();
  type_error = Py_TYPE(PyErr_GetRaisedException());
  PyObject *module = PyImport_AddModule("_proxy_wasm");
  for (u32 i = 0; i < sizeof methods / sizeof *methods; i++)
    PyObject_SetAttrString(module, methods[i].name, PyCMethod_New(&methods[i], 0, 0, 0));
  start_recursion();
  return limit_recursion();
}}
EXPORT("build_registered") u32 build_registered(u32 callback) {{ return callbacks[callback] != 0; }}

EXPORT("proxy_abi_version_{abi_version}") void export_abi_version(void) {{}}
EXPORT("_initialize") void export_initialize(void) {{}}
EXPORT("proxy_on_memory_allocate") void *export_memory_allocate(u32 size) {{ return malloc(size ? size : 1); }}
"""
    )


class Place(NamedTuple):
    """Where the extension begins, behind the libraries' memory (bytes) and table (elements), and the addresses of two variables."""

    memory: int
    table: int
    frozen_bootstrap: int
    frozen_stdlib: int


def build(tools: Tools, abi: Abi, place: Place, work: Path) -> Path:
    """Compiles and links the extension module with the WASI adapter and returns the core module's path."""
    here = Path(__file__).parent
    (work / "boundary.c").write_text(generate(abi))
    objects = []
    for source in (work / "boundary.c", *(here.parent / name for name in _SOURCES)):
        objects.append(work / (source.stem + ".o"))
        tools.zig(
            "cc",
            "-target",
            "wasm32-freestanding",
            "-O2",
            "-nostdlib",
            "-g0",
            f"-DPYIMPORT_FROZENBOOTSTRAP={place.frozen_bootstrap}",
            f"-DPYIMPORT_FROZENSTDLIB={place.frozen_stdlib}",
            f"-DRECURSION_LIMIT={stackguard.LIMIT}",
            f"-DCLASSES={stackguard.CLASSES}",
            "-I",
            here,
            "-c",
            source,
            "-o",
            objects[-1],
        )
    linked = work / "boundary.wasm"
    tools.zig(
        *["wasm-ld", *objects, "-o", linked, "--no-entry", "--import-memory", "--import-table", "--allow-undefined"],
        *[f"--global-base={place.memory}", f"--table-base={place.table}", "-z", "stack-size=65536"],
    )
    return linked
