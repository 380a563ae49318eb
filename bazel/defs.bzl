"""What this repository's BUILD files and rules use.

All run the machine's Python without its site-packages: a program sees the repository's root and the wheel groups that it names.
"""

load(
    "//bazel:python.bzl",
    _import_root = "import_root",
    _pytest_test = "pytest_test",
    _python_action = "python_action",
    _python_attributes = "python_attributes",
    _python_binary = "python_binary",
    _python_module = "python_module",
)
load("//bazel:sources.bzl", _sources = "sources")

import_root = _import_root
pytest_test = _pytest_test
python_action = _python_action
python_attributes = _python_attributes
python_binary = _python_binary
python_module = _python_module
sources = _sources
