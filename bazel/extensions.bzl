"""What MODULE.bazel loads; WORKSPACE must not, as Bazel 4 knows no module extensions."""

load("//bazel:repositories.bzl", "repositories")

def _toolchain_impl(_module_ctx):
    repositories()

toolchain = module_extension(implementation = _toolchain_impl)
