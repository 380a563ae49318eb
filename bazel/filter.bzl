"""proxy_wasm_filter: a filter's Python, frozen into one Proxy-Wasm core module."""

load("//bazel:defs.bzl", "python_action", "python_attributes")
load("//bazel:runtime.bzl", "RuntimeInfo")

def _proxy_wasm_filter_impl(ctx):
    runtime = ctx.attr.runtime[RuntimeInfo]
    out = ctx.outputs.out
    arguments = ctx.actions.args()
    arguments.add("--runtime", runtime.runtime)
    arguments.add("--compiled", runtime.compiled)
    arguments.add("--stdlib", runtime.stdlib)
    arguments.add("--abi", runtime.abi)
    arguments.add("--module", ctx.attr.module)
    arguments.add_all([".", ctx.bin_dir.path], before_each = "--root")
    arguments.add_all(ctx.files.packages, before_each = "--root", expand_directories = False)
    arguments.add("--out", out)
    python_action(
        ctx,
        module = "toolchain.snapshot",
        arguments = [arguments],
        inputs = depset(
            ctx.files.srcs + ctx.files.deps + ctx.files.packages +
            [runtime.runtime, runtime.compiled, runtime.stdlib, runtime.abi],
            transitive = [runtime.programs],
        ),
        outputs = [out],
        mnemonic = "Snapshot",
        progress_message = "Freezing %s into %s" % (ctx.attr.module, out.short_path),
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out]))]

_ATTRIBUTES = {
    "deps": attr.label_list(allow_files = [".py"], doc = "Other sources of this repository that the filter imports."),
    "module": attr.string(mandatory = True, doc = "The module to import, such as `filter.plugin`."),
    "out": attr.output(mandatory = True, doc = "The core module."),
    "packages": attr.label_list(
        allow_files = True,
        doc = "Pure-Python packages from pinned wheels, such as `@wheels_protoc//:site`.",
    ),
    "runtime": attr.label(default = "//toolchain:runtime", providers = [RuntimeInfo]),
    "srcs": attr.label_list(mandatory = True, allow_files = [".py"]),
}
_ATTRIBUTES.update(python_attributes(wheels = ["build"]))

proxy_wasm_filter = rule(
    implementation = _proxy_wasm_filter_impl,
    attrs = _ATTRIBUTES,
)
