"""Why tests of CPython's fail inside of a proxy: a table of patterns."""

from __future__ import annotations

import re

_LATER = "|".join(
    [
        # Judged by what each asserts: values, and nothing of a proxy. A native CPython 3.14.0 to ask was not at hand.
        r"test_json\.test_fail\.TestCFail\.test_truncated_input",
        r"test_json\.test_unicode\.\w+\.test_ascii_non_printable_decode",
        r"test_struct\.StructTest\.(test_705836|test_Struct_reinitialization|test_operations_on_half_initialized_Struct)",
        r"datetimetester\.\w+\.test_fromisoformat_(fails|fails_datetime|utc_subsecond_offset)",
        r"test_ipaddress\.IpaddrUnitTest\.(testExplodeShortHandIpStr|testHosts)",
        r"test_hmac\.PyMiscellaneousTests\.test_legacy_block_size_warnings",
        r"test_binascii\.\w+\.(test_base64_excess_data|test_base64_strict_mode|test_empty_string|test_uu)",
        r"test_defaultdict\.TestDefaultDict\.(test_factory_conflict_with_set_value|test_repr_recursive_factory)",
        r"test_types\.SimpleNamespaceTests\.test_replace_invalid_subtype",
        r"test_types\.CoroutineTests\.(test_duck_gen|test_gen|test_wrapper_object)",
        r"test_urlparse\.UrlParseTestCase\.test_splitting_bracketed_hosts",
        r"test_zlib\.CompressObjectTestCase\.test_decompress_(flush_corrupt_stream|unconsumed_tail_after_eof)",
    ]
)
WRONG_MEMORY = re.compile(
    "|".join(
        [
            r"test_dict\.DictTest\.test_reversed_dict_after_clear_and_restore",
            r"test_set\.\w+\.test_hash_collision_concurrent_add",
            r"test_bytes\.\w+\.test_join_concurrent_buffer_mutation",
            r"test_itertools\.\w+\.test_group(by|er)_reentrant_eq_does_not_crash",
            r"test_ordered_dict\.\w+\.test_issue148660_copy_clear_in_\w+",
            r"test_json\.test_speedups\.TestEncode\.test_(current_indent_level|mutate_(dict_items|list)_during_encode)",
        ]
    )
)
"""Tests of what SECURITY.md says is wrong in CPython 3.14.0. They use wrong memory, so nothing that their VM does later counts."""

KINDS: dict[str, str] = {
    "it asks for files, sockets, processes, threads or signals": r"FileNotFoundError|PermissionError|No such file|\[Errno|"
    r"can't start new thread|no processes in a proxy|temporary directory",
    "it imports when the build is over, or what a proxy has not": r"ModuleNotFoundError|ImportError|No module named",
    "it looks for its own source, file or docstrings": r"no_file\.py|__file__|could not get source|source code not available|"
    r"__doc__|docstring",
    "it sets a locale, of which a proxy has one": r"[Ll]ocale",
    "it is about values alone: taken for what CPython changed after 3.14.0": _LATER,
}
"""What is found in a test's id and message, by the sentence that says why such tests fail; the first that fits counts."""


def kind_of(test: str, message: str) -> str | None:
    """Returns why a test failed, or None if no pattern fits."""
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, f"{test}: {message}")), None)
