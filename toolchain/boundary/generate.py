"""The C boundary: `_proxy_wasm`, a CPython extension module that joins libpython to the Proxy-Wasm ABI.

Its host calls and callbacks are generated from the ABI table; what they share is `boundary.h`. The extension is linked to lie in
memory and table behind the libraries, which the flattener then enlarges by what the extension asks for.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from toolchain import cpython
from toolchain.abi import Abi, Callback, HostCall
from toolchain.guard import stackguard
from toolchain.tools import Tools

# A stream that is held back is made before any of its callbacks, but with its first one and in the same call.
_BEFORE = {
    "proxy_on_context_create": ["  settle(context_id);", "  if (hold_back(context_id, parent_context_id)) return;"],
    "proxy_on_delete": [
        "  settle(context_id);",
        "  if (!is_known(context_id)) return;",
        "  if (latest.context_id == context_id) latest.context_id = 0;",
    ],
}
_TAKEN = {"bytes | str": "str or bytes"}

# What is linked with the generated source, each beside the program that is about it.
_SOURCES = ("boundary/wasi.c", "runtime/waits.c", "runtime/start.c", "guard/recursion.c")

# What the snapshot uses begins with `build_`: it is not part of the ABI, and gone from a built filter.
BUILD_PREFIX = "build_"
BUILD_START = "build_start"
BUILD_RELOCATE, BUILD_CONSTRUCT = "build_relocate ", "build_construct "  # and the library's name
BUILD_GLOBAL = "build_global_"
STACK_POINTER = "build_stack_pointer"


def _host_call(call: HostCall) -> list[str]:
    name, inputs = call.name, call.inputs
    declared = [c for kind in call.parameters.values() for c in kind.c]
    lines = [f"u32 HOST({name})({', '.join(declared) or 'void'});"]
    lines += [f"static PyObject *py_{name}(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {{"]
    lines += [f'  if (count != {len(inputs)}) return usage("{name}({", ".join(inputs)})");']
    passed = []
    for i, (p, kind) in enumerate(inputs.items()):
        taken = _TAKEN.get(kind.python, kind.python)
        wrong = f'return wrong_argument("{name}", "{p}", "{taken}", arguments[{i}]);'
        if kind.take:
            lines += [f"  {kind.c_value} {p} = {kind.take}(arguments[{i}]);"]
            lines += [f"  if (!~{p} && PyErr_Occurred()) {wrong}"]
        else:
            lines += [f"  Bytes {p};", f"  if (!take_bytes(arguments[{i}], &{p})) {wrong}"]
    for p, kind in call.parameters.items():
        if not kind.is_output:
            passed += [p] if kind.take else [f"{p}.data", f"{p}.size"]
        elif len(kind.c) > 1:
            lines += [f"  char *{p} = 0;", f"  u32 {p}_size = 0;"]
            passed += [f"&{p}", f"&{p}_size"]
        else:
            lines += [f"  {kind.c_value} {p} = 0;"]
            passed += [f"&{p}"]
    lines += [f"  u32 status = {name}({', '.join(passed)});"]
    nothing = " || ".join(f"status == {status}" for status in sorted(call.absent))
    lines += [f'  if (status) return {f"{nothing} ? new_none() : " if nothing else ""}failed("{name}", status);']
    results = [kind.give.replace("%s", p) for p, kind in call.outputs.items()]
    if len(results) > 1:
        lines += [f"  PyObject *results = PyTuple_New({len(results)});", "  if (!results) return 0;"]
        lines += [f"  PyTuple_SetItem(results, {i}, {result});" for i, result in enumerate(results)]
        results = ["results"]
    lines += [f"  return {results[0] if results else 'new_none()'};", "}", ""]
    return lines


def _callback(index: int, callback: Callback) -> list[str]:
    name, parameters = callback.name, callback.parameters
    signature = ", ".join(f"u32 {p}" for p in parameters)
    read = "as_action" if callback.result == "action" else "as_number"
    rest = f"{callback.failed}, {read});"
    before = _BEFORE.get(name, ["  settle(context_id);"])
    if callback.first:
        made = f'run_first(first[{index}], "{name}", numbers, {len(parameters)}, parent, {rest}'
        parent = f"  u32 parent = first[{index}] ? held_back_parent(context_id) : 0;"
        before = [parent, f"  if (parent) return {made}", *before]
    return [
        f'EXPORT("{name}") {"u32" if callback.result else "void"} export_{name}({signature}) {{',
        f"  u32 numbers[] = {{{', '.join(parameters)}}};",
        *before,
        f'  {"return " if callback.result else ""}run_callback(callbacks[{index}], "{name}", numbers, {len(parameters)}, {rest}',
        "}",
        "",
    ]


def generate(abi: Abi) -> str:
    """Returns the C source of the extension module for this ABI table."""
    calls, callbacks = abi.host_calls, abi.callbacks
    names = ", ".join(f'"{name}"' for name in callbacks)
    lines = ["// Generated from the ABI table by boundary.py.", '#include "address.h"', '#include "boundary.h"', ""]
    for call in calls.values():
        lines += _host_call(call)
    lines += [f"static const char *const callback_names[] = {{{names}}};"]
    lines += [f"static PyObject *callbacks[{len(callbacks)}], *first[{len(callbacks)}];", ""]
    lines += ["static void settle(u32 context_id) {"]
    lines += ["  u32 parent = held_back_parent(context_id), numbers[] = {context_id, parent};"]
    create = list(callbacks).index("proxy_on_context_create")
    lines += [f'  if (parent) run_callback(callbacks[{create}], "proxy_on_context_create", numbers, 2, 0, as_number);']
    lines += ["}", ""]
    for index, callback in enumerate(callbacks.values()):
        lines += _callback(index, callback)
    own = ["register", "register_first", "set_status_handler", "set_error_handler", "set_action_type", "set_contexts"]
    own += ["packed_address", "parse_pairs"]
    table = ",\n  ".join(f'{{"{name}", py_{name}, METH_FASTCALL, 0}}' for name in (*own, *calls))
    return (
        "\n".join(lines)
        + f"""\
static PyObject *put(PyObject **functions, PyObject *const *arguments, Py_ssize_t count) {{
  Bytes name;
  if (count != 2) return usage("register(callback, function)");
  if (!take_bytes(arguments[0], &name)) return 0;
  for (u32 i = 0; i < {len(callbacks)}; i++)
    if (same(callback_names[i], name.data)) return replace(&functions[i], arguments[1]);
  return usage("register(): no callback of the ABI has this name");
}}
static PyObject *py_register(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {{
  return put(callbacks, arguments, count);
}}
static PyObject *py_register_first(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {{
  return put(first, arguments, count);
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
static PyObject *py_set_contexts(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {{
  if (count != 2) return usage("set_contexts(roots, streams)");
  Py_DecRef(replace(&known_roots, arguments[0]));
  return replace(&known_streams, arguments[1]);
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

EXPORT("{abi.version_export}") void export_abi_version(void) {{}}
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
    (work / "cpython.h").write_text(cpython.header())
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
            "-I",
            work,
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
