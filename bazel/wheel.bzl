"""wheel: the package that pyproject.toml describes, for authors who test their filters elsewhere."""

load("//bazel:defs.bzl", "python_action", "python_attributes")

def _wheel_impl(ctx):
    python_action(
        ctx,
        module = "tools.wheel",
        arguments = [ctx.outputs.out.path, ctx.file._pyproject.path],
        inputs = ctx.files.srcs + [ctx.file._program, ctx.file._pyproject],
        outputs = [ctx.outputs.out],
        mnemonic = "Wheel",
        progress_message = "Writing %s" % ctx.outputs.out.short_path,
    )
    return [DefaultInfo(files = depset([ctx.outputs.out]))]

_ATTRIBUTES = {
    "out": attr.output(mandatory = True, doc = "The wheel, by the name that its version gives it."),
    "srcs": attr.label_list(mandatory = True, allow_files = True),
    "_program": attr.label(default = "//tools:wheel.py", allow_single_file = True),
    "_pyproject": attr.label(default = "//:pyproject.toml", allow_single_file = True),
}
_ATTRIBUTES.update(python_attributes(wheels = ["flit"]))

wheel = rule(
    implementation = _wheel_impl,
    attrs = _ATTRIBUTES,
)
