"""Who checks how much of the stack is used, how it fails, and why others need not check.

A name is that of a function in C, and may be a pattern in `BOUNDED` and `UNFOLLOWED`.
"""

from __future__ import annotations

from typing import NamedTuple

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
    conv_content_model deepcopy method_output_as_list _PyCodec_Lookup unicode_encode_call_errorhandler
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
    "slot_bf_releasebuffer": "It calls the nearest base type of C, and what is asked before: CALLED_INSTEAD.",
    "bufferwrapper_releasebuf": "It releases the buffer of an object that is no wrapper.",
    "float_pow long_pow": "A power of floats that is complex is asked of complex, and a negative power of integers of float.",
    "bool_and bool_invert bool_or bool_xor": "They ask int.",
    "type_new": "It asks the most derived metatype, which asks no other.",
    "type_ready lookup_method_ex": "A type is made ready once, after its metatype.",
    "_PyEvalFramePushAndInit": "Who evaluates the frame checks. An error is made of names, and what it drops checks: CALLED_INSTEAD.",
    "solid_base type_modified_unlocked": "A class is refused whose MRO is longer than stackguard's CLASSES.",
    "get_base_by_token_recursive": "Only for a type that has no MRO yet: one of C, while it is made.",
    "unionbuilder_add_single": "The members of a union are no unions.",
    "unsafe_tuple_compare": "It compares the items of two tuples by what compares the type of the first: no tuple's comparison.",
    "task_step_impl task_wakeup": "A step of a task only schedules the next.",
    "PyErr_SetString _PyErr_Format _PyErr_SetObject PyUnicode_FromFormatV unicode_decode_utf8 _PyType_GetFullyQualifiedName":
        "An error in making an error is made of a text without arguments.",
    "_PyErr_SetKeyError make_encode_exception": "They make an error of a class of C.",
    "_parser_init": "What takes a function's arguments is made ready once.",
    "make_range_object": "What a range reckons with are integers, which PyNumber_Index has made.",
    "reversed_new_impl": "It looks for `__reversed__` first, which checks.",
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
    (None, "PyObject_CallFinalizerFromDealloc"): "stackguard#finalize",
    ("TaskObj_dealloc", "PyObject_CallFinalizer"): "stackguard#finalize_task",
    ("releasebuffer_call_python", "vectorcall_method"): "stackguard#release_buffer",
    ("PyObject_ClearWeakRefs", "PyObject_CallOneArg"): "stackguard#weakref_callback",
}
"""Callers (None for all) and what they call, each with the boundary's function that is called instead.

They are the ways in which an object that goes has Python code run. A generator that is refused its end goes with its frame still suspended.
`gen_dealloc` clears such a frame anyway, as it has to for an asynchronous generator whose hook does nothing.
"""

_ENDS = (
    "_Py_Finalize os__exit os_abort signal_raise_signal faulthandler_sigabrt faulthandler_sigfpe faulthandler_sigsegv"
)

REFUSED = {"PyInit__sqlite3": "stackguard#no_module", **dict.fromkeys(_ENDS.split(), "stackguard#no_end")}
"""What always fails, with the boundary's function that raises the error.

SQLite goes down as far as the SQL that it is given. The others end the program, which is the VM here. An error that does end it does not
wait for CPython to take itself apart.
"""

ALWAYS_REFUSED = "PyInit__sqlite3"
"""What starts a module of C that is always refused: what a filter is built without is refused by the same code."""

UNUSED = (("pysqlite_close_all_blobs", "_pysqlite_long_as_int64"), ("sqlite3_log", "pcache1Shrink"))
"""What only a refused module uses, its own functions and its library's: the first and the last function of each piece."""

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
