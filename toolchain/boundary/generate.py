"""The C boundary: `_proxy_wasm`, a CPython extension module that joins libpython to the Proxy-Wasm ABI.

Its host calls and callbacks are generated from the ABI table; what they share is `boundary.h`. The extension is linked to lie in
memory and table behind the libraries, which the flattener then enlarges by what the extension asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from toolchain.abi import Abi, Callback, HostCall
from toolchain.cpython.header import header
from toolchain.guard import stackguard
from toolchain.tools import Tools

# A stream that is held back is made before any of its callbacks, but with its first one and in the same call.
_BEFORE = {
    "proxy_on_context_create": ["  settle(context_id);", "  if (hold_back(context_id, parent_context_id)) return;"],
    "proxy_on_delete": [
        "  if (was_over(context_id)) return;",
        "  settle(context_id);",
        "  if (forget(&quick[%d], context_id)) return;",
        "  if (latest.context_id == context_id) latest.context_id = 0;",
        "  forget_router(context_id);",
    ],
    "proxy_on_http_call_response": [
        "  settle(context_id);",
        "  if (answer_quickly(numbers, sizeof numbers / sizeof *numbers)) return;",
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


# The boundary notes who speaks (streams.h).
_DONE = {"proxy_set_effective_context": ["  effective = context_id;"]}


def _import(call: HostCall) -> str:
    """Returns the import of a host call."""
    declared = [c for kind in call.parameters.values() for c in kind.c]
    return f"u32 HOST({call.name})({', '.join(declared) or 'void'});"


def _host_call(call: HostCall) -> list[str]:
    """Returns the function of Python's that makes a host call."""
    name, inputs = call.name, call.inputs
    return [
        f"static PyObject *py_{name}(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {{",
        f'  if (count != {len(inputs)}) return usage("{name}({", ".join(inputs)})");',
        *_taken(call),
        *_outputs(call),
        *(["  begin_answer();"] if _answers(call) else []),
        f"  u32 status = {name}({', '.join(_passed(call))});",
        *_given(call),
        "}",
        "",
    ]


def _answers(call: HostCall) -> bool:
    """Tells whether the host writes bytes."""
    return any(len(kind.c) > 1 for kind in call.outputs.values())


def _taken(call: HostCall) -> Iterator[str]:
    """Yields what takes the arguments of Python's call."""
    for i, (p, kind) in enumerate(call.inputs.items()):
        taken = _TAKEN.get(kind.python, kind.python)
        wrong = f'return wrong_argument("{call.name}", "{p}", "{taken}", arguments[{i}]);'
        if kind.take:
            yield f"  {kind.c_value} {p} = {kind.take}(arguments[{i}]);"
            yield f"  if (!~{p} && PyErr_Occurred()) {wrong}"
        else:
            yield f"  Bytes {p};"
            yield f"  if (!take_bytes(arguments[{i}], &{p})) {wrong}"


def _outputs(call: HostCall) -> Iterator[str]:
    """Yields the variables that the host writes."""
    for p, kind in call.outputs.items():
        if len(kind.c) > 1:
            yield f"  char *{p} = 0;"
            yield f"  u32 {p}_size = 0;"
        else:
            yield f"  {kind.c_value} {p} = 0;"


def _passed(call: HostCall) -> Iterator[str]:
    """Yields what is passed to the host."""
    for p, kind in call.parameters.items():
        if kind.is_output:
            yield f"&{p}"
            if len(kind.c) > 1:
                yield f"&{p}_size"
        else:
            yield from [p] if kind.take else [f"{p}.data", f"{p}.size"]


def _given(call: HostCall) -> Iterator[str]:
    """Yields what returns the result, None for a status that means that there is nothing, or the error."""
    nothing = " || ".join(f"status == {status}" for status in sorted(call.absent))
    fails = f'failed("{call.name}", status)'
    if call.about:
        fails = f'failed_about("{call.name}", status, arguments[{list(call.inputs).index(call.about)}])'
    dropped = "drop_answer_bytes(), " if _answers(call) else ""
    yield f"  if (status) return {dropped}{f'{nothing} ? new_none() : ' if nothing else ''}{fails};"
    yield from _DONE.get(call.name, [])
    results = [kind.give.replace("%s", p) for p, kind in call.outputs.items()]
    if len(results) > 1:
        yield f"  PyObject *results = PyTuple_New({len(results)});"
        yield "  if (!results) return 0;"
        yield from (f"  PyTuple_SetItem(results, {i}, {result});" for i, result in enumerate(results))
        results = ["results"]
    yield f"  return {results[0] if results else 'new_none()'};"


def _callback(index: int, callback: Callback) -> list[str]:
    name, parameters = callback.name, callback.parameters
    signature = ", ".join(f"u32 {p}" for p in parameters)
    read = "as_action" if callback.result == "action" else "as_number"
    rest = f"{callback.failed}, {read});"
    before = [line.replace("%d", str(index)) for line in _BEFORE.get(name, ["  settle(context_id);"])]
    # A stream's end is more than its method: where it is not quick altogether (`forget`), the SDK's function sees to it.
    way = "&no_quick_way" if name == "proxy_on_delete" else f"&quick[{index}]"
    quickly: list[str] = []
    function = f'callbacks[{index}], {way}, "{name}"'
    if callback.first:
        made = f'run_first(first[{index}], &quick[{index}], "{name}", numbers, {len(parameters)}, parent, {rest}'
        parent = f"  u32 parent = first[{index}] ? held_back_parent(context_id) : 0;"
        before = [parent, f"  if (parent) return {made}", *before]
        if name == "proxy_on_new_connection":
            routed = f'run_routed("{name}", context_id, {rest}'
            quickly = [f"  if (is_routed(parent_of(context_id))) return {routed}"]
    return [
        f'EXPORT("{name}") {"u32" if callback.result else "void"} export_{name}({signature}) {{',
        *quickly,
        f"  u32 numbers[] = {{{', '.join(parameters)}}};",
        *before,
        f"  {'return ' if callback.result else ''}run_callback({function}, numbers, {len(parameters)}, {rest}",
        "}",
        "",
    ]


def generate(abi: Abi) -> str:
    """Returns the C source of the extension module for this ABI table."""
    lines = [
        "// Generated from the ABI table by boundary/generate.py.",
        '#include "boundary.h"',
        f"enum {{ CALLBACKS = {len(abi.callbacks)}, ANSWER = {list(abi.callbacks).index('proxy_on_http_call_response')} }};",
        *map(_import, abi.host_calls.values()),
        '#include "streams.h"',
        "",
    ]
    for call in abi.host_calls.values():
        lines += _host_call(call)
    lines.append('#include "contexts.h"')
    lines += _settle(list(abi.callbacks))
    for index, callback in enumerate(abi.callbacks.values()):
        lines += _callback(index, callback)
    return "\n".join(lines) + _registration(len(abi.callbacks)) + _start(abi)


def _settle(callbacks: list[str]) -> list[str]:
    """Returns the tables of callbacks, and what makes a stream known that was held back."""
    names = ", ".join(f'"{name}"' for name in callbacks)
    create = callbacks.index("proxy_on_context_create")
    return [
        f"static const char *const callback_names[] = {{{names}}};",
        f"static PyObject *callbacks[{len(callbacks)}], *first[{len(callbacks)}];",
        f"static Quick quick[{len(callbacks)}];",
        "static const Quick no_quick_way;",
        "",
        "static void settle(u32 context_id) {",
        "  u32 parent = held_back_parent(context_id), numbers[] = {context_id, parent};",
        f'  if (parent) run_callback(callbacks[{create}], &quick[{create}], "proxy_on_context_create", numbers, 2, 0, as_number);',
        "}",
        "",
    ]


def _registration(callbacks: int) -> str:
    """Returns the functions by which the SDK says what it wants to be called."""
    return f"""\
static int find_callback(PyObject *named, u32 *index) {{
  Bytes name;
  if (!take_bytes(named, &name)) return 0;
  for (*index = 0; *index < {callbacks}; ++*index)
    if (same(callback_names[*index], name.data)) return 1;
  usage("register(): no callback of the ABI has this name");
  return 0;
}}
static PyObject *put(PyObject **functions, PyObject *const *arguments, Py_ssize_t count) {{
  u32 index;
  if (count != 2) return usage("register(callback, function)");
  return find_callback(arguments[0], &index) ? replace(&functions[index], arguments[1]) : 0;
}}
static PyObject *py_register_quick(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {{
  u32 index, numbers[7];
  if (count != 10) return usage("register_quick(callback, method, kind, clear, set, slow, odd, over, awaits, after)");
  if (!find_callback(arguments[0], &index) || !take_numbers(arguments + 2, numbers, 7)) return 0;
  Quick *way = &quick[index];
  way->callback = index;
  way->kind = numbers[0], way->clear = numbers[1], way->set = numbers[2], way->slow = numbers[3], way->odd = numbers[4];
  way->over = numbers[5], way->awaits = numbers[6];
  Py_DecRef(replace(&way->after, arguments[9]));
  if (way->after == none) way->after = 0;
  return replace(&way->method, arguments[1]);
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
  if (count != 3) return usage("set_contexts(roots, streams, undecided)");
  if (!as_table(arguments[1], &known_streams)) return 0;
  Py_DecRef(replace(&known_roots, arguments[0]));
  Py_DecRef(replace(&undecided, arguments[2]));
  if (undecided == none) undecided = 0;
  return new_none();
}}

"""


def _start(abi: Abi) -> str:
    """Returns the module's table of functions, what starts the module, and the exports that are no callbacks."""
    own = ["register", "register_first", "set_status_handler", "set_error_handler", "set_action_type", "set_contexts"]
    own += ["register_quick", "set_class", "set_layout", "set_router", "set_source_table", "set_waiting", "set_tasks"]
    own += [
        "speaker",
        "speak_for",
        "packed_address",
        "parse_pairs",
        "write_pairs",
        "get_http_answer",
        "go_on",
        "freeze",
    ]
    table = ",\n  ".join(f'{{"{name}", py_{name}, METH_FASTCALL, 0}}' for name in (*own, *abi.host_calls))
    table += ',\n  {"http_call", py_http_call, METH_FASTCALL | METH_KEYWORDS, 0}'
    return f"""\
static Method methods[] = {{
  {table}
}};

int start_boundary(void) {{
  none = Py_GetConstantBorrowed(0);
  true_object = PyBool_FromLong(1);
  false_object = PyBool_FromLong(0);
  zero = PyLong_FromUnsignedLong(0);
  PyObject *text = PyUnicode_FromString("");
  str_type = Py_TYPE(text);
  PyErr_BadArgument();
  type_error = Py_TYPE(PyErr_GetRaisedException());
  bytes_type = Py_TYPE(Py_GetConstantBorrowed(EMPTY_BYTES));
  PyObject *builtins = PyImport_AddModule("builtins");
  value_error = PyObject_GetAttrString(builtins, "ValueError");
  key_error = PyObject_GetAttrString(builtins, "KeyError");
  runtime_error = PyObject_GetAttrString(builtins, "RuntimeError");
  runtime_warning = PyObject_GetAttrString(builtins, "RuntimeWarning");
  stop_iteration = PyObject_GetAttrString(builtins, "StopIteration");
  list_type = PyObject_GetAttrString(builtins, "list");
  tuple_type = PyObject_GetAttrString(builtins, "tuple");
  dict_type = PyObject_GetAttrString(builtins, "dict");
  int_type = PyObject_GetAttrString(builtins, "int");
  float_type = PyObject_GetAttrString(builtins, "float");
  set_type = PyObject_GetAttrString(builtins, "set");
  PyObject *module = PyImport_AddModule("_proxy_wasm");
  for (u32 i = 0; i < sizeof methods / sizeof *methods; i++)
    PyObject_SetAttrString(module, methods[i].name, PyCMethod_New(&methods[i], 0, 0, 0));
  answer_type = PyType_FromSpec(&answer_spec);
  wait_type = PyType_FromSpec(&wait_spec);
  fetch_type = PyType_FromSpecWithBases(&fetch_spec, wait_type);
  table_type = PyType_FromSpec(&table_spec);
  awaited_calls = new_table();
  value_name = PyUnicode_InternFromString("value");
  PyObject_SetAttrString(module, "HeaderMap", PyType_FromSpec(&map_type));
  PyObject_SetAttrString(module, "HttpAnswer", answer_type);
  PyObject_SetAttrString(module, "Wait", wait_type);
  PyObject_SetAttrString(module, "Task", PyType_FromSpec(&task_spec));
  PyObject_SetAttrString(module, "awaited_calls", (PyObject *)awaited_calls);
  PyObject_SetAttrString(module, "Table", table_type);
  PyObject_SetAttrString(module, "fetch", PyDescr_NewMethod(PyObject_GetAttrString(builtins, "object"), &fetch_method));
  return start_recursion() && limit_recursion() && start_attributes(class_changed);
}}
EXPORT("build_registered") u32 build_registered(u32 callback) {{ return callbacks[callback] != 0; }}

EXPORT("{abi.version_export}") void export_abi_version(void) {{}}
EXPORT("_initialize") void export_initialize(void) {{}}
EXPORT("proxy_on_memory_allocate") void *export_memory_allocate(u32 size) {{
  return memory_for_answer(size);
}}
"""


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
    (work / "cpython.h").write_text(header())
    objects = [
        _compiled(tools, place, source, [here, work], work)
        for source in (work / "boundary.c", *(here.parent / name for name in _SOURCES))
    ]
    linked = work / "boundary.wasm"
    tools.zig(
        *["wasm-ld", *objects, "-o", linked, "--no-entry", "--import-memory", "--import-table", "--allow-undefined"],
        *[f"--global-base={place.memory}", f"--table-base={place.table}", "-z", "stack-size=65536"],
    )
    return linked


def _compiled(tools: Tools, place: Place, source: Path, headers: Iterable[Path], work: Path) -> Path:
    """Compiles a source and returns the object file's path."""
    numbers = {
        "PYIMPORT_FROZENBOOTSTRAP": place.frozen_bootstrap,
        "PYIMPORT_FROZENSTDLIB": place.frozen_stdlib,
        "RECURSION_LIMIT": stackguard.LIMIT,
        "CLASSES": stackguard.CLASSES,
    }
    compiled = work / f"{source.stem}.o"
    tools.zig(
        *["cc", "-target", "wasm32-freestanding", "-O2", "-nostdlib", "-g0"],
        *[f"-D{name}={number}" for name, number in numbers.items()],
        *[word for path in headers for word in ("-I", path)],
        *["-c", source, "-o", compiled],
    )
    return compiled
