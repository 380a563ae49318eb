"""sbom and provenance: documents on what the build is made of, and where its results come from."""

load("//bazel:defs.bzl", "python_action", "python_attributes")

def _write(ctx, module, arguments, inputs):
    python_action(
        ctx,
        module = module,
        arguments = [ctx.outputs.out.path] + arguments,
        inputs = depset(ctx.files.locks + ctx.files._programs + inputs),
        outputs = [ctx.outputs.out],
        mnemonic = "Document",
        progress_message = "Writing %s" % ctx.outputs.out.short_path,
    )
    return [DefaultInfo(files = depset([ctx.outputs.out]))]

_COMMON = {
    "locks": attr.label(default = "//third_party:locks", doc = "All lock files."),
    "out": attr.output(mandatory = True, doc = "The document, JSON."),
    "_programs": attr.label(default = "//tools:supply_chain"),
}

def _sbom_impl(ctx):
    return _write(ctx, "tools.sbom", [site.path for site in ctx.files.sites], ctx.files.sites)

_SBOM = {"sites": attr.label_list(mandatory = True, allow_files = True, doc = "Every group of wheels, unpacked.")}
_SBOM.update(_COMMON)
_SBOM.update(python_attributes(wheels = ["sbom"]))

sbom = rule(
    implementation = _sbom_impl,
    attrs = _SBOM,
    doc = "A CycloneDX bill of materials of every locked package.",
)

def _provenance_impl(ctx):
    sources = ctx.files.srcs + ctx.files.locks
    arguments = [file.path for file in ctx.files.subjects] + ["--"] + [file.path for file in sources]
    return _write(ctx, "tools.provenance", arguments, ctx.files.subjects + ctx.files.srcs)

_PROVENANCE = {
    "srcs": attr.label_list(mandatory = True, allow_files = True, doc = "The source files that the subjects are built from."),
    "subjects": attr.label_list(mandatory = True, allow_files = True, doc = "What was built."),
}
_PROVENANCE.update(_COMMON)
_PROVENANCE.update(python_attributes())

provenance = rule(
    implementation = _provenance_impl,
    attrs = _PROVENANCE,
    doc = "An in-toto statement with a SLSA provenance predicate.",
)
