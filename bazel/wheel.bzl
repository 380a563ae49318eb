"""wheel: what an author of filters installs, as wheel/pyproject.toml describes it."""

load("//bazel:defs.bzl", "import_root", "python_action", "python_attributes")

def _wheel_impl(ctx):
    runtime = ctx.attr.runtime[DefaultInfo].default_runfiles.files.to_list()
    arguments = ctx.actions.args()
    arguments.add_all([ctx.outputs.out, ctx.file._pyproject])
    arguments.add("--root", import_root(ctx.file._pyproject))
    arguments.add_all(ctx.files.srcs, before_each = "--source")
    arguments.add_all(runtime, before_each = "--runtime")
    python_action(
        ctx,
        module = "wheel.pack",
        arguments = [arguments],
        inputs = ctx.files.srcs + runtime + [ctx.file._program, ctx.file._pyproject],
        outputs = [ctx.outputs.out],
        mnemonic = "Wheel",
        progress_message = "Packing %s" % ctx.outputs.out.short_path,
    )
    return [DefaultInfo(
        files = depset([ctx.outputs.out]),
        runfiles = ctx.runfiles(files = [ctx.outputs.out]),
    )]

_ATTRIBUTES = {
    "out": attr.output(mandatory = True, doc = "The wheel, by the name that its version gives it."),
    "runtime": attr.label(default = "//toolchain:runtime", doc = "What filters are built from."),
    "srcs": attr.label_list(mandatory = True, allow_files = True),
    "_program": attr.label(default = "//wheel:pack.py", allow_single_file = True),
    "_pyproject": attr.label(default = "//wheel:pyproject.toml", allow_single_file = True),
}
_ATTRIBUTES.update(python_attributes(wheels = ["build", "hatch"]))

wheel = rule(
    implementation = _wheel_impl,
    attrs = _ATTRIBUTES,
)
