"""wasm_image: a module as an OCI image layout, a directory whose manifest's digest is a function of the module."""

load("//bazel:defs.bzl", "python_action", "python_attributes")

def _wasm_image_impl(ctx):
    out = ctx.actions.declare_directory(ctx.label.name)
    arguments = ctx.actions.args()
    arguments.add_all(["image", "--quiet"])
    arguments.add("--variant", ctx.attr.variant)
    for name, value in ctx.attr.annotations.items():
        arguments.add("--annotation", "%s=%s" % (name, value))
    arguments.add_all([ctx.file.module, out], expand_directories = False)
    python_action(
        ctx,
        module = "oci",
        arguments = [arguments],
        inputs = [ctx.file.module] + ctx.files._programs,
        outputs = [out],
        mnemonic = "WasmImage",
        progress_message = "Writing the image %s" % out.short_path,
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out]))]

_ATTRIBUTES = {
    "annotations": attr.string_dict(doc = "The manifest's annotations."),
    "module": attr.label(mandatory = True, allow_single_file = [".wasm"], doc = "The core module."),
    "variant": attr.string(
        default = "compat",
        doc = "`compat`: plugin.wasm in a layer, for Istio and image volumes; `oci`: the module is a layer, for Envoy itself.",
        values = [
            "compat",
            "oci",
        ],
    ),
    "_programs": attr.label_list(default = [
        "//oci",
        "//oci:__main__.py",
    ], allow_files = True),
}
_ATTRIBUTES.update(python_attributes())

wasm_image = rule(
    implementation = _wasm_image_impl,
    attrs = _ATTRIBUTES,
    doc = "An OCI image layout of a module, for `skopeo copy oci:DIRECTORY docker://REFERENCE`.",
)
