"""release: all that is published of a version, in one directory with checksums."""

load("//bazel:defs.bzl", "python_action", "python_attributes")

def _release_impl(ctx):
    out = ctx.actions.declare_directory(ctx.attr.out)
    arguments = ctx.actions.args()
    arguments.add_all([out], expand_directories = False)
    arguments.add(ctx.attr.version)
    arguments.add_all(ctx.files.srcs)
    arguments.add("--")
    arguments.add_all(ctx.files.images, expand_directories = False)
    python_action(
        ctx,
        module = "tools.release",
        arguments = [arguments],
        inputs = ctx.files.srcs + ctx.files.images + ctx.files._programs,
        outputs = [out],
        mnemonic = "Release",
        progress_message = "Writing the release %s" % ctx.attr.version,
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out]))]

_ATTRIBUTES = {
    "images": attr.label_list(allow_files = True, doc = "OCI image layouts."),
    "out": attr.string(mandatory = True, doc = "The directory."),
    "srcs": attr.label_list(mandatory = True, allow_files = True),
    "version": attr.string(mandatory = True),
    "_programs": attr.label(default = "//tools:release_programs"),
}
_ATTRIBUTES.update(python_attributes())

release = rule(
    implementation = _release_impl,
    attrs = _ATTRIBUTES,
)
