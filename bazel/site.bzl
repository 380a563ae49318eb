"""site: the documentation as HTML."""

load("//bazel:defs.bzl", "python_action", "python_attributes")

def _site_impl(ctx):
    out = ctx.actions.declare_directory(ctx.attr.out)
    python_action(
        ctx,
        module = "docs.site.build",
        arguments = [out.path],
        inputs = ctx.files.srcs + ctx.files.programs,
        outputs = [out],
        mnemonic = "Site",
        progress_message = "Building the documentation site",
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out]))]

_ATTRIBUTES = {
    "out": attr.string(mandatory = True, doc = "The directory."),
    "programs": attr.label_list(mandatory = True, allow_files = [".py"]),
    "srcs": attr.label_list(mandatory = True, allow_files = True, doc = "Documents, and code that pages show or describe."),
}
_ATTRIBUTES.update(python_attributes(wheels = ["docs"]))

site = rule(
    implementation = _site_impl,
    attrs = _ATTRIBUTES,
)
