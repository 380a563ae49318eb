"""What CPython calls of its parser and its compiler, and how each of these functions fails in a filter that compiles nothing.

They ask first. So nothing behind them runs in such a filter, and it is left out with the module that has Python's syntax trees. Who calls
`compile`, `eval` or `exec` by a name that is put together gets an error that says how to keep it.
"""

from __future__ import annotations

from toolchain.cpython.recursion import Failure

MODULE = "_ast"
"""The module of C without which a filter has no compiler."""

REFUSE = "stackguard#no_compiler"
"""The boundary's function that is asked."""

LEAVE_OUT = "build_leave_out_compiler"
"""The boundary's function after which the answer is no."""

_NULL, _MINUS_ONE = Failure(0, REFUSE), Failure(-1, REFUSE)

ENTRIES = {
    "PyAST_Check": _MINUS_ONE,
    "PyAST_mod2obj": _NULL,
    "PyAST_obj2mod": _NULL,
    "_PyAST_Compile": _NULL,
    "_PyAST_Validate": _NULL,
    "_PyCompile_AstPreprocess": _MINUS_ONE,
    "_PyParser_ASTFromFile": _NULL,
    "_PyParser_ASTFromString": _NULL,
    "_PyParser_InteractiveASTFromFile": _NULL,
    # The line of a file, for a traceback: CPython takes it for UTF-8 then. There are no files.
    "_PyTokenizer_FindEncodingFilename": _NULL,
}
"""What asks, and how it fails."""
