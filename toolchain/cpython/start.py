"""What CPython needs to start, and its limits of recursion in C."""

from __future__ import annotations

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

MENDED: dict[str, dict[bytes, bytes]] = {
    # Its C encoder keeps the indentations of all levels, and may read past the last of them (CPython 3.14.0); Python's own does not.
    "json/encoder.py": {
        b"if _one_shot and c_make_encoder is not None:": b"if _one_shot and c_make_encoder and indent is None:",
    },
    # It does without `decimal` but for numbers of a hundred thousand digits, and `re` is for a function that nobody calls.
    "_pylong.py": {
        b"import re\nimport decimal\ntry:\n": b"try:\n    import re\n    import decimal\n",
        b"\n_unbounded_dec_context = decimal": b"\nif _decimal is not None:\n _unbounded_dec_context = decimal",
        b"\n_unbounded_dec_context.prec = decimal": b"\n _unbounded_dec_context.prec = decimal",
        b"\n_unbounded_dec_context.Emax = decimal": b"\n _unbounded_dec_context.Emax = decimal",
        b"\n_unbounded_dec_context.Emin = decimal": b"\n _unbounded_dec_context.Emin = decimal",
        b"\n_unbounded_dec_context.traps[": b"\n _unbounded_dec_context.traps[",
        b"\nfrom collections import defaultdict\n": b"\nif _decimal is not None:\n from collections import defaultdict\n",
        b"\n_spread = defaultdict(int)\ndel defaultdict\n": b"\n _spread = defaultdict(int)\n del defaultdict\n",
    },
}
"""Lines of the standard library that are exchanged for others, by file."""
