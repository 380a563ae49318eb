"""Why tests of CPython's fail inside of a proxy: names of reasons, what they say, and patterns by which they are told."""

from __future__ import annotations

import re

from tests.conformance.later import change_of

WRONG_MEMORY = re.compile(
    "|".join(
        [
            r"test_dict\.DictTest\.test_reversed_dict_after_clear_and_restore",
            r"test_set\.\w+\.test_hash_collision_concurrent_add",
            r"test_bytes\.\w+\.test_join_concurrent_buffer_mutation",
            r"test_array\.LargeArrayTest\.test_setitem_use_after_\w+",
            r"test_cprofile\.CProfileTest\.test_enable_in_external_timer",
            r"test_csv\.Test_Csv\.test_reader_reentrant_iterator",
            r"test_genericalias\.BaseTest\.test_evil_repr[12]",
            r"test_io\.CTextIOWrapperTest\.test_(issue142594|reentrant_detach_\w+|write_newline_replace_changes_stream)",
            r"test_itertools\.\w+\.test_group(by|er)_reentrant_eq_does_not_crash",
            r"test_long\.LongTest\.test_huge_lshift_overflow",
            r"test_marshal\.BugsTestCase\.test_set_changed_size",
            r"test_ordered_dict\.\w+\.test_issue148660_copy_clear_in_\w+",
            r"test_type_annotations\.RegressionTests\.test_conditional_annotations_rebound",
            r"test_warnings\.\w+\.test_skip_file_prefixes_empty_tuple_subclass",
            r"test_xml_etree\w*\.\w+\.test_(findtext_with_mutating_non_none_text|subscr_with_(clear|mutating_slice)|unknown_event)",
            r"test_json\.test_speedups\.TestEncode\.test_(current_indent_level|mutate_(dict_items|list)_during_encode)",
        ]
    )
)
"""Tests of what SECURITY.md says is wrong in CPython 3.14.0. They use wrong memory, so nothing that their VM does later counts."""

REASONS: dict[str, str] = {
    "later": "it tests what CPython changed after the release in the module",
    "files": "it asks for files, sockets, processes, threads or signals",
    "imports": "it imports when the build is over, or what a proxy has not",
    "source": "it looks for its own source, file or docstrings",
    "locale": "it sets a locale, of which a proxy has one",
    "waits": "it waits",
    "build": "it asks how CPython was built, of which a filter has no record",
    "debian": "it tests what Debian changes in CPython",
    "runner": "it counts on the frames of CPython's own runner",
    "depth": "it counts on more levels of recursion than a proxy's stack has",
    "library": "natively it fails with the library of the release in the module, and passes with its own",
    "columns": "natively it fails without columns in the code, which a filter has not either",
    "natively": "natively it fails too",
}
"""The reasons for which tests fail, by their names."""

PATTERNS: dict[str, str] = {
    "files": r"FileNotFoundError|PermissionError|No such file|\[Errno|"
    r"can't start new thread|test_logging\.BasicConfigTest\.test_encoding|this would end the VM|test_sys\.SysModuleTest\.test_thread_info|"
    r"no processes in a proxy|temporary directory|test files not found|"
    r"cfgparser\.\d|ConfigParserTestCaseTrickyFile|"
    r"test_mimetypes\.\w+\.test_init_(files|knownfiles)|test_posixpath\.PosixPathTest\.test_(ismount|realpath_invalid_paths)|"
    r"test_ntpath\.TestNtpath\.test_relpath|"  # the working directory is /
    r"test_(tokenize\.TestRoundtrip\.test_random|unparse\.DirectoryTestCase\.test)_files|"
    r"test_os\.ReadlinkTests\.test_(missing_link|not_symlink)|"
    r"test_zipfile\.test_core\.(OtherTests\.test_create_non_existent_file_for_append|TestExecutablePrependedZip\.test_read_zip(64)?_with_)|"
    r"test_grammar\.GrammarTests\.test_selectors",  # sys.path[0]
    "imports": r"ModuleNotFoundError|ImportError|No module named|"
    r"test_runpy\.RunModuleTestCase\.test_(invalid_names_set_name_attribute|library_module)|"
    r"NotFoundError: proxy_call_foreign_function|"
    r"test_unittest\.test_loader\.\w+\.test_loadTestsFromNames?__(module_not_loaded|unknown_attr_name)|"
    r"test_monitoring\.TestCApiEventGeneration|"  # what _testcapi's absence left behind in the test before
    r"'NoneType' object has no attribute 'get_stack_pointer'",
    "source": r"no_file|__file__|could not get source|source code not available|is a built-in class|"
    r"__doc__|docstring|test_bdb\.(State|Breakpoint)TestCase|test_origin_tracking_warning|"
    r"test_contextlib\w*\.\w+\.test_(contextmanager_traceback|exit_exception_traceback)|"
    r"ExceptionTests\.test_unhandled|test_fstring\.TestCase\.test_global|"
    r"test_unittest\.test_result\.\w+\.test_addFailure_filter_traceback_frames|"
    r"test_rlcompleter\.\w+\.test_(attr|global)_matches|"  # it expects no signatures where there are no docstrings
    r"test_logging\.ExceptionTest\.test_formatting|test_sys\.UnraisableHookTest\.|test_warnings\.\w+\.test_(error_after_default|source_line|show_warning_output)|"
    r"test_traceback\.\w+\.test_(cause_recursive|context_suppression)|"
    r"test_traceback\.Test(Frame|Stack|TracebackException)\.test_(basics|\w*lookup_lines|lazy_lines)|"
    r"test_unittest\.test_runner\.TestCleanUp\.testCleanUpWithErrors|test_pdb\.PdbTestColorize\.test_stack_entry|test_module_repr_source|test_dis\.\w+\.test_(code_info|show_code|info):|test_pydoc\.",
    "locale": r"[Ll]ocale",
    "waits": r"would wait, and nothing may wait in a proxy|test_time\.TimeTestCase\.test_sleep_exceptions",
    "build": r"test_sysconfig\.",
    "debian": r"test_site\.HelperFunctionsTests\.test_getsitepackages",
    "runner": r"test_tracemalloc\.TestTracemallocEnabled\.test_(set_traceback_limit|snapshot):",
    "depth": r"test_marshal\.BugsTestCase\.test_recursion_limit",
}
"""What is found in a test's id and message, by the reason; the first that fits counts."""


EXPLAINED = {
    r"test_repr_recursive_factory|test_parse_reentrancy_with_encoding": "where the stack ends differs, and the message says where",
    r"test_int\.\w+\.test_denial_of_service_prevented": "it measures how long it takes, and wasmtime's clock here stands still",
    r"test_subparser_inherits_reparse_deferral": "CPython 3.14.0 reads a value there that nobody has set",
    r"test_sched\.TestCase\.test_cancel_correct_event": "it waits unless the clock goes on, as Envoy's does and wasmtime's here does not",
    r"test_logging\.ExceptionTest\.test_formatting": "its message names the line of the SDK that calls it, which is a tick's in Envoy",
    r"test_pdb\.PdbTestColorize\.test_stack_entry": "its message names the frames that call it, which are a tick's in Envoy",
    r"test_traceback\.\w+\.test_colorized_traceback_from_exception_group": "its message tells how long a text with an address is",
    r"test_tracemalloc\.TestTracemallocEnabled\.test_snapshot": "it looks at one allocation of many, and which that is differs",
    r"test_pickle\.\w+\.test_(fast_save_enter_frozenset|global_lookup_error)": "its message has a part of an object's address",
    r"datetimetester\.\w+\.test_today": "it waits if the clock goes on between two calls, as Envoy's does and wasmtime's here does not",
}
"""Why a test comes to something else in another setting, by the pattern of its id."""


ENDLESS = {
    r"test_long\.LongTest\.test_huge_lshift_overflow": "CPython 3.14.0 writes past its memory there, as SECURITY.md says",
    r"test_fstring\.TestCase\.test_many_expressions": "its f-string of some 130,000 parts takes longer to compile than a test may here",
}
"""Why a test has no end, or ends its VM, by the pattern of its id."""


def why_endless(test: str, word: str) -> str | None:
    """Returns why a test has no end, or ends its VM, or None if nobody knows."""
    if word == "failed":
        return None
    return next((why for pattern, why in ENDLESS.items() if re.search(pattern, test)), None)


def explained(test: str) -> str:
    """Returns why a test comes to something else in another setting, or "not explained"."""
    return next((why for pattern, why in EXPLAINED.items() if re.search(pattern, test)), "not explained")


def is_explained(test: str) -> bool:
    """Tells whether it is known why a test comes to something else in another setting."""
    return any(re.search(pattern, test) for pattern in EXPLAINED)


def reason_of(test: str, message: str) -> str | None:
    """Returns the name of the reason for which a test failed, or None if no pattern fits."""
    if change_of(test):
        return "later"
    return next((name for name, pattern in PATTERNS.items() if re.search(pattern, f"{test}: {message}")), None)
