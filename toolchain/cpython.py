"""What the toolchain knows of CPython, its libc and componentize-py that no interface promises. A new version may change each of it.

Everything else here works with what CPython's stable C API, the language and WebAssembly promise. So a new CPython, or a new
componentize-py, needs this file read again, and as a rule nothing else. The tables are in the order in which a build uses them. So a
build fails in this order if one of them is wrong:

    the component    componentize-py's parameters, the libraries, their symbols     runtime/componentize.py, layout.py, boundary/wasi.c
    recursion        who checks the stack, and why others need not                  guard/recursion.py, guard/stackguard.py
    waiting          CPython's functions that wait                                  runtime/waits.py, waits.c
    the start        modules that CPython needs first, its limits in C              runtime/start.py, start.c, boot/dump_stdlib.py
    the heap         how a free chunk looks                                         vm/heap.py
    late imports     what C code imports                                            vm/late.py

All of them are checked. A name that is not there, or is there twice, stops the build with its name. A circle of calls that no table
breaks stops it too. What no build can see, a test does: `//tests/host:late` looks for imports in the C code, and
`//tests/host:recursion` goes down every way that is known.

What must be kept in sync: `header()`, which gives the C files their part of this as `cpython.h`. What they know on their own is CPython's
stable API, and two structures: `Frozen` in start.c, which is CPython's `_frozen`, and the thread state, which `limit_recursion` in
boundary.h searches. CONTRIBUTING.md has the steps to a new CPython.
"""

from __future__ import annotations

from typing import Any, NamedTuple

# ---- the component

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

SHADOW_STACK = 0x100000
"""How many bytes the shadow stack has, from address 0 on: componentize-py links it so."""

WASI_VERSION = "@0.2.0"
"""What the names of WASI's interfaces end with, as CPython's libc imports them."""

# ---- recursion

REFUSE = "stackguard#refuse"
REFUSE_MARSHAL = "stackguard#refuse_marshal"
"""The boundary's functions that raise the error: exports of the merge."""

STACK_POINTER = "stackguard#stack_pointer"
"""The boundary's function that is made to return the shadow stack's pointer."""


class Failure(NamedTuple):
    """How a function fails: its result (None if it has none), who raises, and a number written through a parameter.

    The latter is the parameter's index, the offset and the number. Without `raises` the function is only cut short.
    """

    result: int | None
    raises: str | None = REFUSE
    writes: tuple[int, int, int] | None = None


_NULL = """
    accumulate_next anextawaitable_iternext batched_next chain_next compress_next cycle_next dropwhile_next enum_next filter_next
    filterfalse_next _grouper_next groupby_next islice_next map_next pairwise_next Reader_iternext starmap_next takewhile_next
    tee_next zip_longest_next zip_next gen_close _gen_throw
    ga_getattro ga_vectorcall getset_get instancemethod_getattro method_getattro method_vectorcall mappingproxy_getitem
    mappingproxy_getiter mappingproxy_or partial_vectorcall attrgetter_vectorcall itemgetter_vectorcall
    methodcaller_vectorcall weakref_vectorcall branch_handler_vectorcall sys_profile_throw sys_profile_unwind sys_trace_throw
    sys_trace_return sys_trace_yield object_richcompare _PyObject_GenericGetAttrWithDict _PyObject_LookupSpecial
    PyObject_GetAttr PyObject_GetItem PyObject_GetIter PyIter_Next PySequence_Tuple _PyNumber_Index ternary_op PyNumber_Absolute
    PyNumber_Add PyNumber_Float PyNumber_InPlaceAdd PyNumber_InPlaceMultiply PyNumber_InPlacePower PyNumber_Invert PyNumber_Long
    PyNumber_Multiply PyNumber_Negative PyNumber_Positive deque_extend_impl deque_extendleft_impl
    _Py_make_parameters _Py_subs_parameters _PyCode_ConstantKey const_cache_insert fold_const_match_patterns analyze_block
    conv_content_model deepcopy
"""
_MINUS_ONE = """
    ga_hash mappingproxy_contains mappingproxy_hash mappingproxy_len method_hash slice_hash tuple_hash union_hash
    PyObject_DelItem PyObject_Hash PyObject_IsTrue PyObject_RichCompareBool PyObject_SetAttr PyObject_SetItem
    PyObject_Size PySequence_Contains list_extend_iter_lock_held
    append_ast_constant append_ast_expr append_fstring_element intern_constants mro_hierarchy update_subclasses merge_class_dict
    codegen_check_ann_subscr codegen_comprehension_generator codegen_jump_if codegen_pattern codegen_visit_stmt _validate_inner
    codegen_async_comprehension_generator codegen_async_with_inner codegen_sync_comprehension_generator codegen_with_inner
"""
CHECKED: dict[str, Failure] = {
    **dict.fromkeys(_NULL.split(), Failure(0)),
    **dict.fromkeys(_MINUS_ONE.split(), Failure(-1)),
    # WFERR_NESTEDTOODEEP, for which marshal raises its ValueError; and the same for what it reads.
    "w_object": Failure(None, None, (1, 4, 2)),
    "r_object": Failure(0, REFUSE_MARSHAL),
    # No version: the type is not cached.
    "assign_version_tag": Failure(0, None),
    # No attribute, and -1 for the error.
    "PyObject_GetOptionalAttr": Failure(-1, REFUSE, (2, 0, 0)),
    # No exporter, so that who releases the buffer all the same releases nothing.
    "PyObject_GetBuffer": Failure(-1, REFUSE, (1, 4, 0)),
    "set_flags_recursive": Failure(None),
    "update_code_filenames": Failure(None),
}
"""What checks when it is called, and how it fails."""

BOUNDED: dict[str, str] = {
    # ---- CPython
    "subtype_dealloc subtype_traverse subtype_clear": "They call what the nearest base type of C has for it.",
    "_PyGC_Collect deduce_unreachable gc_collect_region": "The collector keeps lists of objects, and a collection starts no other.",
    "bufferwrapper_releasebuf": "It releases the buffer of an object that is no wrapper.",
    "float_pow long_pow": "A power of floats that is complex is asked of complex, and a negative power of integers of float.",
    "bool_and bool_invert bool_or bool_xor": "They ask int.",
    "type_new": "It asks the most derived metatype, which asks no other.",
    "type_ready lookup_method_ex": "A type is made ready once, after its metatype.",
    "solid_base type_modified_unlocked": "A class is refused whose MRO is longer than stackguard's CLASSES.",
    "get_base_by_token_recursive": "Only for a type that has no MRO yet: one of C, while it is made.",
    "unionbuilder_add_single": "The members of a union are no unions.",
    "unsafe_tuple_compare": "It compares the items of two tuples by what compares the type of the first: no tuple's comparison.",
    "task_step_impl task_wakeup": "A step of a task only schedules the next.",
    "PyErr_SetString _PyErr_Format _PyErr_SetObject PyUnicode_FromFormatV unicode_decode_utf8 _PyType_GetFullyQualifiedName":
        "An error in making an error is made of a text without arguments.",
    "list_extend_lock_held": "It makes a list of what is none, by extending an empty one, once.",
    "_make_pending_calls _PyMutex_LockTimed": "There is one thread: no lock waits, and pending calls wait while one runs.",
    "PyFloat_AsDouble": "It asks once: decimal's float is read from a text, and Python's is asked for by a call, which checks.",
    "codegen_unwind_fblock_stack": "Blocks nest to 40.",
    "PyErr_GivenExceptionMatches": "The evaluator takes one level of tuples only.",
    "format_unraisable_v warn_explicit": "What goes wrong while they write is dropped.",
    "unicode_decode_call_errorhandler_writer multibytecodec_encode": "The handler is Python's, and what it gives is taken as it is.",
    "convertitem do_mkvalue build_string skipitem ast_repr_max_depth": "The format is one of C's, or its depth is counted: three at most.",
    "PyImport_ImportModuleLevelObject": "It imports the package with the name that comes first, which has no further dot.",
    "hamt_node_assoc hamt_node_without": "The trie has seven levels.",
    "array_ass_subscr bytearray_ass_subscript_lock_held bytearray_setslice": "What is assigned to itself is copied, once.",
    "cmath_atanh_impl vector_norm long_new_impl DirEntry_test_mode": "They ask themselves once, with a simpler argument.",
    "copy_rec cmp_rec tolist_rec": "A memory view has at most 64 dimensions.",
    "factorial_partial_product perm_comb perm_comb_small k_mul _karatsuba_rec _karatsuba_rec_fnt _kmul_worksize":
        "They halve a number's digits.",
    "const_folding_check_complexity": "It counts down from 1,024.",
    "_PyPegen_get_invalid_target _PyPegen_set_expr_context": "The tokenizer takes 200 brackets.",
    "PyInstructionSequence_Fini": "Functions nest as deeply as codegen_visit_stmt, with its larger frame, has gone.",
    "_Pypegen_tokenizer_error _PyPegen_raise_error": "An error of the tokenizer ends the parser.",
    "sre_ucs?_count": "A pattern's compiler, in Python, has gone down once for each repetition in a repetition.",
    "RotatingTree_Enum": "Its nodes are turned towards the root whenever they are looked up.",
    # ---- what ends everything
    "_Py_FatalErrorFunc _Py_Finalize _PyMem_DebugCheckAddress _PyObject_Dump": "It does not return, or is for a debugger.",
    # ---- libraries
    "sqlite3* vdbe* btree* freeCursor* existsToJoin find* valueFromExpr dupedExprSize same* unset* srclist* push* execSql*":
        "SQLite is refused (REFUSED).",
    "columnTypeImpl expr* where* multiSelect* patternCompare resolveExprStep rowSet* check*Page clearDatabasePage": "SQLite.",
    "json*Blob* jsonLookupStep jsonMergePatch jsonTranslate* jsonbValidity* appendAllPathElements percentSort subst*": "SQLite.",
    "clearSelect yy_reduce db*Finish destroyRootPage": "SQLite.",
    "do_nftw do_glob tre_ast_to_tnfa parse_atom tdestroy walk iconv strptime mi_* _mi_*": "libc's, which nothing calls.",
    "frexp frexpf frexpl fflush wms_write mwrite cookiewrite ms_write sw_write": "libc: once more, for a number or a stream.",
    "__strftime_fmt_1": "libc: a format that stands for a format without such.",
    "descriptor_table_insert": "libc: it makes its table, once.",
}  # fmt: skip
"""What ends before the stack does: functions, as names or patterns, and why."""

UNFOLLOWED: dict[str, str] = {
    "vgetargs* convertitem cleanreturn do_mkvalue": "converters that the caller passes, for one argument",
    "PyModule_FromDefAndSpec2 module_clear _Py_hashtable_* _bytes_shared _xidata_release capsule_*": "callbacks of a library of C",
    "sys_audit_tstate _make_pending_calls _PyDict_SendEvent type_modified_unlocked _PyCode_New code_dealloc": "hooks that C sets",
    "PyFunction_NewWithQualName _PyFunction_FromConstructor func_dealloc call_timer": "hooks that C sets",
    "_PyMem_Debug* tracemalloc_* _PyEval_EnsureBuiltins* _PyEval_GetGlobalsFromRunningMain": "the allocator",
    "_PyTokenizer_Get tok_* lookahead verify_end_of_number": "the tokenizer's ways to read",
    "array_* arrayiter_next s_new s_unpack_internal PyBuffer_FromContiguous": "an item's way into or out of its bytes",
    "iso2022_decode unicodedata_UCD_is_normalized mark_stacks_*": "tables of functions that call nothing",
    "_new_tuple_object signaldict_dealloc ast_dealloc formatteriter_next ScandirIterator_dealloc DirEntry_dealloc":
        "an allocator or a type's way to free",
    "ga_vectorcall _PyDictView_Intersect": "a vectorcall or a method, both of which check",
    "internal_bisect_left internal_bisect_right": "a comparison, after a check",
    "cookie* __uflow __isatty fcntl read write poll_impl": "libc's streams and descriptors",
}  # fmt: skip
"""Whose calls through pointers are not followed, and what they reach."""

CALLED_INSTEAD: dict[tuple[str | None, str], str] = {
    ("subtype_dealloc", "PyObject_CallFinalizerFromDealloc"): "stackguard#finalize",
    ("PyObject_ClearWeakRefs", "PyObject_CallOneArg"): "stackguard#weakref_callback",
}
"""Callers (None for all) and what they call, each with the boundary's function that is called instead.

Only what classes of Python do when an object goes is refused near the limit. A generator that is refused its end would go with its frame
still suspended, which CPython does not expect.
"""

REFUSED = {"PyInit__sqlite3": "stackguard#no_sqlite"}
"""What always fails, with the boundary's function that raises the error: SQLite goes down as far as the SQL that it is given."""

ASKED_BEFORE = {"best_base": "stackguard#refuse_bases"}
"""What the boundary's function is asked before, with the same argument: if it does not return 0, the result is a null pointer."""

FAMILIES = {"sqlite3": "sqlite3", "parserCreate": "PyExpat_Xml"}
"""Libraries within CPython whose calls through pointers are not followed: all between functions whose names begin like this."""

_BRIEF = """
    PyMem_Calloc PyMem_Free PyMem_Malloc PyMem_RawCalloc PyMem_RawFree PyMem_RawMalloc PyMem_RawRealloc PyMem_Realloc
    PyObject_Free PyObject_Malloc PyObject_Realloc Py_HashBuffer _PyObject_VirtualFree
    _Py_NewReference long_dealloc none_dealloc object_dealloc
"""
BRIEF = frozenset(_BRIEF.split())
"""What these call through a pointer is the allocator or a hash function, which call nothing further."""

# CPython's own check, in its forms; that of the macros is a comparison with the limit in the thread state.
OWN_CHECKS = (
    "_Py_CheckRecursiveCall",
    "Py_EnterRecursiveCall",
    "_Py_EnterRecursiveCall",
    "_Py_ReachedRecursionLimitWithMargin",
)
COMPARES = "_Py_EnterRecursiveCall"


# ---- waiting

WAITING = ("time_sleep", "select_select", "select_poll_poll", "_PyMutex_LockTimed", "_PyParkingLot_Park")
"""The functions in which Python code can wait; waits.c has what is called instead, with the same parameters."""

POLLING = frozenset({"clock_nanosleep", "poll", "_PySemaphore_Wait", "__pthread_cond_timedwait"})
"""What a wait ends in. A test holds that only what cannot be reached from Python still calls it."""

LOCKS = {
    # PyLockStatus
    "LOCK_FAILURE": 0,
    "LOCK_ACQUIRED": 1,
    "LOCK_INTERRUPTED": 2,
    # _PyLockFlags: who locks with one of these knows LOCK_INTERRUPTED
    "HANDLE_SIGNALS": 2,
    "FAIL_IF_INTERRUPTED": 4,
    # a PyMutex that is held
    "LOCKED": 1,
    # what _PyParkingLot_Park returns
    "PARKED": 0,
}
"""Numbers of CPython's locks."""

# ---- the start

STARTED_WITH = {
    "_frozen_importlib": "importlib/_bootstrap.py",
    "_frozen_importlib_external": "importlib/_bootstrap_external.py",
    "zipimport": "zipimport.py",
    "encodings": "encodings/__init__.py",
    "encodings.aliases": "encodings/aliases.py",
    "encodings.utf_8": "encodings/utf_8.py",
    "codecs": "codecs.py",
    "abc": "abc.py",
    "site": "site.py",
    "os": "os.py",
    "stat": "stat.py",
    "posixpath": "posixpath.py",
    "genericpath": "genericpath.py",
    "_collections_abc": "_collections_abc.py",
    "_sitebuiltins": "_sitebuiltins.py",
}
"""What CPython needs before there is a finder that could ask for it, each with its file in the standard library. `boot` follows.

CPython has the code of most of it, with docstrings, and of more that the finder knows as well: all that would be in every VM, read or not.
"""

STACK_MARGIN = 8192
"""`_PyOS_STACK_MARGIN_BYTES`: how far apart CPython's limits for recursion in C are. By it they are found in the thread state."""

THREAD_STATE = 1024
"""How many words of the thread state are searched for these limits."""

MENDED = {
    # Its C encoder keeps the indentations of all levels, and may read past the last of them (CPython 3.14.0); Python's own does not.
    "json/encoder.py": (
        b"if _one_shot and c_make_encoder is not None:",
        b"if _one_shot and c_make_encoder and indent is None:",
    ),
}
"""Lines of the standard library that are exchanged for others, by file."""

# ---- the heap


class Chunk(NamedTuple):
    """How libc's allocator, dlmalloc, keeps a chunk of the heap: sizes in bytes.

    A chunk begins with its neighbour's word and a word of its size, whose low bits say whether the neighbour (1) and itself (2) is in
    use. A free one goes on with its links: two words, six in a large one.
    """

    header: int = 8
    in_use: int = 2
    size: int = ~7
    least: int = 16
    large: int = 256
    links: int = 8
    large_links: int = 24


CHUNK = Chunk()

# ---- late imports

AT_IMPORT = {
    "_asyncio": (
        *("asyncio", "asyncio.base_futures", "asyncio.base_tasks", "asyncio.coroutines", "asyncio.events"),
        *("asyncio.exceptions", "traceback", "weakref"),
    ),
    "_decimal": ("collections", "numbers"),
    "_elementtree": ("copy", "pyexpat", "xml.etree.ElementPath"),
    "_pickle": ("_compat_pickle", "codecs", "copyreg", "functools"),
    "_zoneinfo": ("io", "weakref", "zoneinfo._common", "zoneinfo._tzpath"),
}
"""What modules of C import when they are imported."""

WHEN_USED: dict[tuple[str, str], tuple[str, ...]] = {
    ("builtins", ""): ("_pylong", "copyreg", "io", "struct", "typing", "unicodedata", "warnings"),
    ("builtins", "templatelib"): ("string.templatelib",),
    ("_datetime", "strptime"): ("_strptime", "time"),
    ("_decimal", "format"): ("_pydecimal",),
    ("_operator", "methodcaller"): ("functools",),
    ("_sqlite3", "iterdump"): ("sqlite3.dump",),
    ("_sre", ""): ("re",),
    ("array", ""): ("array",),
    ("time", "strptime"): ("_strptime",),
    ("_zoneinfo", ""): ("pickle",),
}
"""What modules of C import when one of their functions is called, by module and a word that its caller writes."""

NOT_FOLLOWED = {
    "traceback": "CPython writes tracebacks in C without it, and a VM has no memory to spare for its dozen of modules",
    "linecache": "interactive sources only, beside what `warnings` imports by itself",
    "decimal": "no import, but what _decimal says its classes' module is",
    "runpy": "interpreters in interpreters, which this CPython has not",
    "pickle": "interpreters in interpreters, which this CPython has not",
    "cProfile": "its own module, which imports it first",
    "threading": "only asked for where it is loaded",
    "functools": "at the start of C modules whose Python part imports it first",
    "json.decoder": "who has json has it; who takes _json alone wants no more, and gets an ImportError for what does not parse",
}
"""What else CPython's C code names, and why no table has it."""

COMPUTED = {
    "xml.dom.domreg": ("xml.dom.minidom",),
    "xml.sax": ("xml.sax.expatreader",),
}
"""What modules of the library import by names that are put together when they run."""

NAMED_BY_THE_CALLER = {
    "_py_warnings": "categories in the options of a command",
    "dbm": "files",
    "doctest": "a program",
    "encodings": "codecs, all of which are there",
    "importlib.metadata": "files of packages, which are not there",
    "importlib.resources._common": "a package, which the caller has",
    "importlib.util": "a package",
    "inspect": "a program",
    "logging.config": "classes by their names",
    "modulefinder": "a program",
    "multiprocessing.forkserver": "processes",
    "optparse": "a program",
    "pickle": "classes by their names",
    "pkgutil": "packages in files, and objects by their names",
    "pydoc": "a program",
    "runpy": "a program",
    "sysconfig": "what CPython was built with, which boot.py leaves out",
    "traceback": "a module that is loaded, to look for a name like one that it lacks",
    "turtle": "a window",
    "unittest.loader": "tests by their names",
    "unittest.main": "a program",
}
"""Modules of the library that import what nobody can know beforehand, and why that is so."""

SHALLOW = frozenset({"_pylong"})
"""What CPython calls one function of: what the functions of modules behind it import is out of reach."""

STARTUP_ONLY = frozenset(
    {
        *("_frozen_importlib", "_frozen_importlib_external", "importlib._bootstrap", "importlib._bootstrap_external"),
        *("zipimport", "site", "boot"),
    }
)
"""What CPython is started with, two of it under two names, and no filter calls."""

# ---- for C


def header() -> str:
    """Returns what C files include as `cpython.h`."""
    numbers = {**LOCKS, "STACK_MARGIN": STACK_MARGIN, "THREAD_STATE": THREAD_STATE}
    frozen = ", ".join(
        f'{{"{name}"{", 0, 0, 1" if path.endswith("__init__.py") else ""}}}'
        for name, path in (STARTED_WITH | {"boot": "boot.py"}).items()
    )
    lines = [f"#define {name} {number}" for name, number in numbers.items()]
    lines += [f'#define WASI_VERSION "{WASI_VERSION}"', f"#define FROZEN_MODULES {frozen}"]
    return "".join(f"{line}\n" for line in ["// Generated from cpython.py.", *lines])
