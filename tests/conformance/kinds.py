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
KINDS: dict[str, str] = {
    "it asks for files, sockets, processes, threads or signals": r"FileNotFoundError|PermissionError|No such file|\[Errno|"
    r"can't start new thread|no processes in a proxy|temporary directory",
    "it imports when the build is over, or what a proxy has not": r"ModuleNotFoundError|ImportError|No module named",
    "it looks for its own source, file or docstrings": r"no_file\.py|__file__|could not get source|source code not available|"
    r"__doc__|docstring",
    "it sets a locale, of which a proxy has one": r"[Ll]ocale",
    "it reads the wrong memory of CPython 3.14.0, as SECURITY.md says of such faults": r"test_current_indent_level|test_issue148660",
    "it is about values alone: taken for what CPython changed after 3.14.0": _LATER,
}
"""What is found in a test's id and message, by the sentence that says why such tests fail; the first that fits counts."""


def kind_of(test: str, message: str) -> str | None:
    """Returns why a test failed, or None if no pattern fits."""
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, f"{test}: {message}")), None)
