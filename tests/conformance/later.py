"""What CPython changed after the release in the module, as far as its own tests see it: the change of each, and the release that has it.

The changes are those that CPython's own NEWS tells of (`/usr/share/doc/python3.14/NEWS.gz` in Debian's package `python3.14`). Of one
that it does not tell of, the number alone is known, from the test or from CPython's issues.
"""

from __future__ import annotations

import re

_ANNOTATIONS = r"test_annotationlib\.Test\w+\."

CHANGES = {
    # ---- text and numbers
    r"test_json\.test_fail\.TestCFail\.test_truncated_input": "gh-152052, 3.14.7",
    r"test_json\.test_unicode\.TestPyUnicode\.test_ascii_non_printable_decode": "gh-154936, 3.14.7",
    r"test_struct\.StructTest\.test_705836": "gh-145633, 3.14.4",
    r"test_struct\.StructTest\.test_(Struct_reinitialization|operations_on_half_initialized_Struct)": "gh-78724, 3.14.3",
    r"datetimetester\.\w+\.test_fromisoformat_utc_subsecond_offset": "gh-152079, 3.14.7",
    r"datetimetester\.\w+\.test_fromisoformat_fails(_datetime)?": "gh-152157, 3.14.7",
    r"test_binascii\.\w+\.test_base64_(excess_data|strict_mode)": "gh-145264, 3.14.4",
    r"test_binascii\.\w+\.test_(empty_string|uu)": "gh-148093, 3.14.5",
    r"test_zlib\.CompressObjectTestCase\.test_decompress_flush_corrupt_stream": "gh-156173, 3.14.8",
    r"test_zlib\.CompressObjectTestCase\.test_decompress_unconsumed_tail_after_eof": "gh-158169, 3.14.8",
    r"test_csv\.TestSniffer\.test_delimiters": "gh-103925, 3.14.7",
    r"test_csv\.TestSniffer\.test_sniff_": "gh-109638, 3.14.7",
    r"test_format\.FormatTest\.test_common_format": "gh-159739, 3.14.9",
    r"test_pyexpat\.ParseTest\.test_parse_(file_)?reentrancy_with_encoding": "gh-146169, 3.14.10",
    r"test_pyexpat\.ChardataBufferTest\.": "gh-159739, 3.14.10",
    r"test_pyexpat\.ParentParserLifetimeTest\.test_subparser_inherits_reparse_deferral": "gh-154738, 3.14.7",
    r"test_pyexpat\.ExpansionProtectionTest\.": "gh-90949, 3.14.6",
    r"test_multibytecodec\.\w+\.test_setstate_invalid_designation": "gh-153603, 3.14.8",
    r"test_io\.\w+\.test_RawIOBase_read_bounds_checking": "gh-140607, 3.14.1",
    r"test_io\.\w+\.test_readline_limit_with_short_read": "gh-159739, 3.14.10",
    r"test_io\.\w+\.test_chunk_size": "gh-113318, 3.14.8",
    r"test_io\.\w+\.test_issue142594": "gh-142594, 3.14.3",
    r"test_io\.\w+\.test_reentrant_detach_during_": "gh-143008, 3.14.9",
    r"test_io\.\w+\.test_write_newline_replace_": "gh-159739, 3.14.10",
    r"test_math\.MathTests\.testIsqrt": "gh-153200, 3.14.7",
    r"test_configparser\.ReDoSTestCase\.test_option_regex_": "gh-146333, 3.14.5",
    r"test_memoryio\.CBytesIOTest\.test_write(lines)?_concurrent_": "gh-143378, 3.14.3",
    r"test_memoryio\.CBytesIOTest\.test_write_with_export": "gh-157048, 3.14.8",
    r"test_memoryio\.CStringIOTest\.test_write_str_subclass": "gh-149046, 3.14.6",
    r"test_memoryview\.\w+\.test_hash_use_after_free": "gh-142664, 3.14.3",
    r"test_memoryview\.\w+\.test_hex_use_after_free": "gh-143195, 3.14.3",
    r"test_memoryview\.\w+\.test_boolean_format": "gh-148390, 3.14.5",
    r"test_marshal\.StringTestCase\.test_bytes_singleton": "gh-128509, 3.14.8",
    r"test_marshal\.BugsTestCase\.test_reference_loop_(code|slice)": "gh-148653, 3.14.5",
    r"test_marshal\.BugsTestCase\.test_set_changed_size": "gh-159185, 3.14.9",
    r"test_marshal\.BugsTestCase\.test_unorderable_set_items": "gh-159184, 3.14.9",
    r"datetimetester\.\w+\.test_strftime_special": "gh-152305, 3.14.7",
    # ---- addresses and digests
    r"test_ipaddress\.IpaddrUnitTest\.testExplodeShortHandIpStr": "bpo-44012, 3.14.8",
    r"test_ipaddress\.IpaddrUnitTest\.testHosts": "gh-141497, 3.14.1",
    r"test_urlparse\.UrlParseTestCase\.test_splitting_bracketed_hosts": "gh-105708, 3.14.7",
    r"test_robotparser\.NonDecimalD\w+\.": "gh-153404, 3.14.7",
    r"test_robotparser\.PercentEncodingTest\.": "gh-111788, 3.14.1",
    r"test_robotparser\.DisallowQueryStringTest\.": "gh-88375, 3.14.1",
    r"test_robotparser\.(AllowWins|EmptyGroup|LongestMatch|MergeGroups|PathWithManyWildcards)\w+\.": "gh-138907, 3.14.5",
    r"test_robotparser\.(RejectAllRobots|SimpleExample|UserAgent|WeirdPath)\w+\.": "gh-138907, 3.14.5",
    r"test_robotparser\.(ConstructedS|S)tringFormattingTest\.": "gh-138907, 3.14.5",
    r"test_plistlib\.TestPlistlib\.test_bytes_indent": "gh-143346, 3.14.3",
    r"test_plistlib\.TestPlistlib\.test_skipkeys": "gh-145856, 3.14.8",
    r"test_hmac\.PyMiscellaneousTests\.test_legacy_block_size_warnings": "gh-155428, 3.14.10",
    # ---- containers, types
    r"test_defaultdict\.TestDefaultDict\.test_factory_conflict_with_set_value": "gh-142495, 3.14.3",
    r"test_defaultdict\.TestDefaultDict\.test_repr_recursive_factory": "gh-145492, 3.14.4",
    r"test_types\.SimpleNamespaceTests\.test_replace_invalid_subtype": "gh-143636, 3.14.4",
    r"test_types\.CoroutineTests\.test_(duck_gen|gen|wrapper_object)": "gh-143999, 3.14.3",
    r"test_abc\..*test_instancecheck_class_changes_in_subclasscheck": "gh-159739, 3.14.10",
    r"test_abc\..*test_instancecheck_no_class": "gh-153772, 3.14.8",
    r"test_exception_group\.StrAndReprTests\.test_(exceptions_mutation|repr_raises)": "gh-141732, 3.14.4",
    r"test_exception_group\.StrAndReprTests\.test_repr_small_size_args": "gh-146096, 3.14.8",
    r"test_functools\.\w+\.test_repr_safety_against_reentrant_mutation": "gh-144475, 3.14.4",
    r"test_functools\.\w+\.test_setstate_errors": "gh-140590, 3.14.1",
    r"test_gc\.GCTests\.test_(collect|get_objects)_generations": "gh-142516, 3.14.5",
    r"test_generators\.GeneratorTest\.test_close_clears_frame": "gh-142766, 3.14.3",
    r"test_generators\.FinalizationTest\.test_exhausted_generator_frame_cycle": "gh-100964, 3.14.3",
    r"test_genericalias\.BaseTest\.test_dir": "gh-105487, 3.14.1",
    r"test_monitoring\.ExceptionMonitoringTest\.test_gen_unwind": "gh-140373, 3.14.1",
    r"test_monitoring\.\w+\.test_disable_line_keeps_instruction_events": "gh-158121, 3.14.9",
    r"test_descr\.ClassPropertiesAndMethods\.test_method_get_meth_method_invalid_type": "gh-146615, 3.14.4",
    r"test_dict\.DictTest\.test_overwrite_managed_dict": "gh-130327, 3.14.4",
    r"test_int\.PyLongModuleTests\.test_pylong_int_divmod_crash": "gh-142554, 3.14.3",
    r"test_decimal\.CContextFlags\.test_signaldict_repr": "gh-146011, 3.14.7",
    r"test_decimal\.PyCoverage\.test_divide_unbound_context": "gh-140036, 3.14.10",
    r"test_multibytecodec\.\w+\.test_nonbmp_pair_modifier": "gh-159739, 3.14.10",
    r"test_dict\.DictTest\.test_reversed_dict_(keys_changed|after_clear)": "gh-154709, 3.14.7",
    r"test_descr\.ClassPropertiesAndMethods\.test_(class|static)method_new": "gh-144330, not in NEWS",
    r"test_genericalias\.BaseTest\.test_evil_repr3": "gh-143823, not in NEWS",
    r"test_xml_etree\w*\.\w+\.test_findtext_with_mutating_non_none_text": "gh-148735, 3.14.5",
    r"test_xml_etree\w*\.\w+\.test_subscr_with_(clear|mutating_slice)": "gh-143200, 3.14.3",
    r"test_warnings\.\w+\.test_skip_file_prefixes_empty_tuple_subclass": "gh-159739, 3.14.10",
    r"test_xml_etree\w*\.ElementIterTest\.test_(comment|processinginstruction)": "gh-149571, 3.14.6",
    r"test_xml_etree\w*\.ElementTreeTest\.test_parse_text_source": "gh-99064, 3.14.8",
    r"test_sys\.SysModuleTest\.test_is_immortal": "gh-128509, 3.14.8",
    r"test_xml_etree\w*\.XMLPullParserTest\.test_unknown_event": "gh-139210, 3.14.1",
    r"test_type_annotations\.RegressionTests\.test_conditional_annotations_rebound": "gh-154902, 3.14.8",
    r"test_type_annotations\.DeferredEvaluationTests\.test_class_annotation_dunder_classdict": "gh-149805, 3.14.6",
    r"test_range\.RangeTest\.test_iterator_invalid_setstate": "gh-141312, 3.14.1",
    r"test_tuple\.TupleTest\.test_track_literals": "gh-139951, 3.14.1",
    r"test_sys_setprofile\.ProfileHookTestCase\.test_unfinished_generator": "gh-140373, 3.14.1",
    # ---- syntax
    r"test_tokenize\.CTokenizeTest\.test_invalid_syntax": "gh-160268, 3.14.10",
    r"test_tokenize\.\w+\.test_ineq_tokens": "gh-151464, 3.14.8",
    r"test_tokenize\.\w+\.test_multiline_non_ascii_fstring_with_expr": "gh-139516, 3.14.1",
    r"test_tokenize\.TestDetectEncoding\.test_\w*(utf8|nul_in)": "gh-63161, 3.14.1",
    r"test_unparse\.UnparseTestCase\.test_tstring_with_none_str_field": "gh-138774, 3.14.1",
    r"test_unparse\.UnparseTestCase\.test_tstrings": "gh-154719, 3.14.8",
    r"test_symtable\.ComprehensionTests\.test_(nonlocal_)?referenced_in_comprehension": "gh-160299, 3.14.10",
    r"test_type_annotations\.RegressionTests\.test_annotate_qualname": "gh-137814, 3.14.5",
    r"test_source_encoding\.BytesSourceEncodingTest\.test_(utf|non_utf)": "gh-63161, 3.14.1",
    r"test_syntax\.SyntaxErrorTestCase\.test_diamond_operator": "gh-151464, 3.14.8",
    r"test_syntax\.SyntaxErrorTestCase\.test_nested_inlined_comprehensions_block_limit": "gh-156091, 3.14.8",
    r"test_exceptions\.ExceptionTests\.testSyntaxErrorNonUTF8Offset": "gh-157378, 3.14.8",
    r"test_fstring\.TestCase\.test_invalid_escape_location": "gh-160491, 3.14.10",
    r"test_exceptions\.ExceptionTests\.testSyntaxErrorOffset": "gh-63161, 3.14.1",
    r"test_exceptions\.ExceptionTests\.testSyntaxErrorRange": "gh-156894, 3.14.8",
    r"test_fstring\.TestCase\.test_debug_conversion": "gh-154719, 3.14.8",
    r"test_fstring\.TestCase\.test_not_equal": "gh-146448, not in NEWS",
    r"test\.test_listcomps$": "gh-150700, 3.14.6",
    r"test_tstring\.TestTString\.test_(debug_specifier|interpolation_expression_)": "gh-154719, 3.14.8",
    r"test_tstring\.TestTString\.test_format_specifiers": "gh-146448, not in NEWS",
    r"test_type_aliases\.\w+\.test_reentrant_value_does_not_leak": "gh-159739, 3.14.10",
    r"test_ucn\.UnicodeNamesTest\.test_(cjk_unified_ideographs|hangul_syllables|tangut_ideographs)": "gh-80667, 3.14.4",
    r"test_structseq\.StructSeqTest\.test_replace_gc_tracked": "gh-145376, 3.14.4",
    # ---- annotations
    _ANNOTATIONS + r"test_multiple_closure|" + _ANNOTATIONS + r"test_nonlocal_in_annotation_scope": "gh-138151, 3.14.1",
    _ANNOTATIONS + r"test_template_str": "gh-138558, 3.14.1",
    _ANNOTATIONS + r"test_eval_str_wrapped_(partial_)?cycle": "gh-146556, 3.14.4",
    _ANNOTATIONS + r"test_stringized_annotations_with_star_unpack": "gh-143517, 3.14.3",
    _ANNOTATIONS + r"test_(fake_global_evaluation|evaluate_string_format_extra_names|forward_repr_extra_names)": (
        "gh-148680, 3.14.5"
    ),
    _ANNOTATIONS
    + r"test_(condition_not_stringified|user_annotate_\w+_value_fallback|error_from_value_raised|raises_error_from_value)": (
        "gh-138764, 3.14.1"
    ),
    _ANNOTATIONS + r"test_type_repr": "gh-152692, 3.14.9",
    _ANNOTATIONS + r"test_evaluate_undefined_generic": "gh-138425, 3.14.1",
    _ANNOTATIONS + r"test_forward_equality_and_hash_with_cells": "gh-143831, 3.14.3",
    _ANNOTATIONS + r"test_re_evaluate_generics": "gh-137969, 3.14.1",
    r"test_context\.ContextTest\.test_reset_with_reentrant_finalizer": "gh-159739, 3.14.10",
    r"test_array\.LargeArrayTest\.test_setitem_use_after_\w+": "gh-142555, 3.14.3",
    r"test_csv\.Test_Csv\.test_reader_reentrant_iterator": "gh-145105, 3.14.5",
    # ---- tools
    r"test_compile\.TestSpecifics\.test_(compile_warning_in_finally|compile_warnings|pep_765_warnings)": "gh-139640, 3.14.1",
    r"test_frame\.FrameAttrsTest\.test_f_trace_lines_and_opcodes": "gh-113318, 3.14.8",
    r"test_code_module\.TestInteractiveConsole\.test_compile_error": "gh-69919, 3.14.8",
    r"testmock\.MockTest\.test_create_autospec_type_hints_typechecking": "gh-145754, 3.14.4",
    r"testmock\.MockTest\.test_mock_open_exit_with_contextlib_exit_stack": "gh-150484, 3.14.7",
    r"test_cprofile\.CProfileTest\.test_second_profiler": "gh-153068, 3.14.7",
}
"""The change that a test's failing shows, by the pattern of its id."""


def change_of(test: str) -> str | None:
    """Returns the change that a test is about, or None if none is known."""
    return next((change for pattern, change in CHANGES.items() if re.search(pattern, test)), None)
