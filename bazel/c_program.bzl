"""c_program: a C program of one file, compiled by the pinned Zig for this machine."""

load("//bazel:defs.bzl", "python_action", "python_attributes")

def _c_program_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    python_action(
        ctx,
        module = "bazel.compile_c",
        arguments = [ctx.file._zig.path, ctx.file.src.path, out.path],
        inputs = [ctx.file.src, ctx.file._compile, ctx.file._zig],
        outputs = [out],
        mnemonic = "CompileC",
        progress_message = "Compiling %s" % out.short_path,
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out]))]

_ATTRIBUTES = {
    "src": attr.label(mandatory = True, allow_single_file = [".c"]),
    "_compile": attr.label(default = "//bazel:compile_c.py", allow_single_file = True),
    "_zig": attr.label(default = "@wheels_zig//:site", allow_single_file = True),
}
_ATTRIBUTES.update(python_attributes())

c_program = rule(
    implementation = _c_program_impl,
    attrs = _ATTRIBUTES,
)
