"""What CPython's C code imports, and what its library imports by names that no source has."""

from __future__ import annotations

AT_IMPORT = {
    "_asyncio": (
        *("asyncio", "asyncio.base_futures", "asyncio.base_tasks", "asyncio.coroutines", "asyncio.events"),
        *("asyncio.exceptions", "traceback", "weakref"),
    ),
    **dict.fromkeys(
        (f"_codecs_{country}" for country in ("cn", "hk", "iso2022", "jp", "kr", "tw")),
        ("_multibytecodec", *(f"_codecs_{country}" for country in ("cn", "hk", "iso2022", "jp", "kr", "tw"))),
    ),
    "_decimal": ("collections", "numbers"),
    "_elementtree": ("copy", "pyexpat", "xml.etree.ElementPath"),
    "_pickle": ("_compat_pickle", "codecs", "copyreg", "functools"),
    "_symtable": ("_ast",),
    "_zoneinfo": ("datetime", "io", "weakref", "zoneinfo._common", "zoneinfo._tzpath"),
}
"""What modules of C import when they are imported."""

WHEN_USED: dict[tuple[str, str], tuple[str, ...]] = {
    ("builtins", ""): ("_pylong", "copyreg", "io", "struct"),
    ("builtins", "templatelib"): ("string.templatelib",),
    ("_datetime", "strptime"): ("_strptime", "time"),
    ("_decimal", "format"): ("_pydecimal",),
    ("_operator", "methodcaller"): ("functools",),
    ("_sre", ""): ("re",),
    ("_typing", ""): ("typing",),
    ("array", ""): ("array",),
    ("time", "strptime"): ("_strptime",),
    ("_zoneinfo", ""): ("pickle",),
}
"""What modules of C import when one of their functions is called, by module and a word that its caller writes."""

NOT_FOLLOWED = {
    "traceback": "CPython writes tracebacks in C without it, and a VM has no memory to spare for its dozen of modules",
    "warnings": "CPython warns in C without it, in the same words",
    "linecache": "interactive sources only, beside what `warnings` imports by itself",
    "decimal": "no import, but what _decimal says its classes' module is",
    "runpy": "subinterpreters, which this CPython does not have",
    "pickle": "subinterpreters, which this CPython does not have",
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

SHALLOW = frozenset({"_pylong", "copyreg"})
"""What CPython calls some functions of: what others import, and what it can do without, is out of reach."""

WHEN_WRITTEN = {
    "typing": ("UnionType",),
    "unicodedata": ("\\N{", "namereplace", "unicode_escape", "unicode-escape", "unicodeescape"),
}
"""Modules that CPython imports for what a filter's sources write: types that are put together, and characters by their names."""

CALLED = frozenset({("reprlib", "Repr.repr_int")})
"""Functions of the library that import something and are called by names that are put together."""

BY_NAMES = frozenset({"_pickle", "logging.config", "pickle", "pkgutil"})
"""Modules by which data names what is called."""

BY_CHARACTERS_NAMES = frozenset({("re._parser", "unicodedata")})
"""Modules of the library, and what they import only for such a name."""

NEEDED = frozenset({"_codecs", "_imp", "_io", "_thread", "_warnings", "builtins", "marshal", "sys", "zlib"})
"""Modules of C that CPython or boot.py needs in each filter."""

_SINGLE_BYTE = """
charmap cp1006 cp1125 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp437 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857
cp858 cp860 cp861 cp862 cp863 cp865 cp866 cp869 cp874 hp_roman8 iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15 iso8859_16 iso8859_2
iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 koi8_r koi8_t koi8_u kz1048 latin_1 mac_croatian mac_cyrillic
mac_greek mac_iceland mac_latin2 mac_roman mac_romanian mac_turkish palmos ptcp154 tis_620
"""
"""Those that a desktop reads a document in. Others, such as EBCDIC's, pyexpat refuses."""

CHOSEN = {
    "json": ("utf_8_sig", "utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be", "utf_32_le"),
    # A document names one, and pyexpat asks it for each byte.
    **dict.fromkeys(("xml.etree.ElementTree", "xml.parsers.expat"), tuple(_SINGLE_BYTE.split())),
}
"""Codecs among which modules of the library choose."""

FILES = frozenset(
    {
        *(
            "base64",
            "codecs",
            "collections",
            "encodings",
            "enum",
            "io",
            "json",
            "json.encoder",
            "linecache",
            "os",
            "quopri",
        ),
        *("gzip", "pathlib._os", "site", "socket", "subprocess", "tempfile", "tokenize"),
    }
)
"""Modules of the library that decode by names of their callers, which are looked at themselves, or decode files, which no proxy has."""

STARTUP_ONLY = frozenset(
    {
        *("_frozen_importlib", "_frozen_importlib_external", "importlib._bootstrap", "importlib._bootstrap_external"),
        *("zipimport", "site", "boot"),
    }
)
"""What CPython is started with, two of it under two names, and no filter calls."""
