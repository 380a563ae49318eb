"""sources: what the linters read of a package."""

def sources(name):
    """Declares a group of every Python and Bazel file of the package, for //tests/lint.

    Args:
      name: the target's name, by convention "sources".
    """
    native.filegroup(
        name = name,
        srcs = native.glob(
            ["**/*.py", "**/*.pyi", "**/*.bzl", "BUILD.bazel"],
            allow_empty = True,
        ),
        visibility = ["//visibility:public"],
    )
