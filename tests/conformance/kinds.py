"""Why tests of CPython's fail inside of a proxy: a table of patterns."""

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
            r"test_csv\.Test_Csv\.test_reader_reentrant_iterator",
            r"test_io\.CTextIOWrapperTest\.test_(issue142594|reentrant_detach_\w+|write_newline_replace_changes_stream)",
            r"test_itertools\.\w+\.test_group(by|er)_reentrant_eq_does_not_crash",
            r"test_long\.LongTest\.test_huge_lshift_overflow",
            r"test_marshal\.BugsTestCase\.test_set_changed_size",
            r"test_ordered_dict\.\w+\.test_issue148660_copy_clear_in_\w+",
            r"test_json\.test_speedups\.TestEncode\.test_(current_indent_level|mutate_(dict_items|list)_during_encode)",
        ]
    )
)
"""Tests of what SECURITY.md says is wrong in CPython 3.14.0. They use wrong memory, so nothing that their VM does later counts."""

LATER = "it tests what CPython changed after the release in the module"

KINDS: dict[str, str] = {
    "it asks for files, sockets, processes, threads or signals": r"FileNotFoundError|PermissionError|No such file|\[Errno|"
    r"can't start new thread|no processes in a proxy|temporary directory|"
    r"cfgparser\.\d|ConfigParserTestCaseTrickyFile|"
    r"test_mimetypes\.\w+\.test_init_(files|knownfiles)|test_posixpath\.PosixPathTest\.test_(ismount|realpath_invalid_paths)|"
    r"test_grammar\.GrammarTests\.test_selectors",  # sys.path[0]
    "it imports when the build is over, or what a proxy has not": r"ModuleNotFoundError|ImportError|No module named|"
    r"NotFoundError: proxy_call_foreign_function|"
    r"'NoneType' object has no attribute 'get_stack_pointer'",
    "it looks for its own source, file or docstrings": r"no_file|__file__|could not get source|source code not available|"
    r"__doc__|docstring|test_bdb\.(State|Breakpoint)TestCase|test_origin_tracking_warning|"
    r"test_contextlib\w*\.\w+\.test_(contextmanager_traceback|exit_exception_traceback)|"
    r"ExceptionTests\.test_unhandled|test_fstring\.TestCase\.test_global|"
    r"test_module_repr_source|test_dis\.\w+\.test_(code_info|show_code|info):|test_pydoc\.",
    "it sets a locale, of which a proxy has one": r"[Ll]ocale",
    "its class is a base of others, which its module never runs itself": r"test_io\.(IOTest|Buffered\w+Test|TextIOWrapperTest|"
    r"IncrementalNewlineDecoderTest|MiscIOTest)\.",
    "it waits": r"would wait, and nothing may wait in a proxy",
}
"""What is found in a test's id and message, by the sentence that says why such tests fail; the first that fits counts."""


EXPLAINED = {
    r"test_repr_recursive_factory|test_parse_reentrancy_with_encoding": "where the stack ends differs, and the message says where",
    r"test_int\.\w+\.test_denial_of_service_prevented": "it measures how long it takes, and wasmtime's clock here stands still",
    r"test_subparser_inherits_reparse_deferral": "CPython 3.14.0 reads a value there that nobody has set",
    r"datetimetester\.\w+\.test_today": "it waits if the clock goes on between two calls, as Envoy's does and wasmtime's here does not",
}
"""Why a test comes to something else in another setting, by the pattern of its id."""


def explained(test: str) -> str:
    """Returns why a test comes to something else in another setting, or "not explained"."""
    return next((why for pattern, why in EXPLAINED.items() if re.search(pattern, test)), "not explained")


def kind_of(test: str, message: str) -> str | None:
    """Returns why a test failed, or None if no pattern fits."""
    if change_of(test):
        return LATER
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, f"{test}: {message}")), None)
