"""coverage_stub: what stands for Bazel's coverage tools.

In WORKSPACE mode Bazel fetches them from the network for every test target. Nothing here collects coverage by Bazel.
"""

_BUILD = """\
filegroup(
    name = "coverage_report_generator",
    visibility = ["//visibility:public"],
)

filegroup(
    name = "lcov_merger",
    srcs = ["none.sh"],
    visibility = ["//visibility:public"],
)
"""

def _coverage_stub_impl(rctx):
    rctx.file("none.sh", "#!/bin/sh\n", executable = True)
    rctx.file("BUILD.bazel", _BUILD, executable = False)

coverage_stub = repository_rule(implementation = _coverage_stub_impl)
