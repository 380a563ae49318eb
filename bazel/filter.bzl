"""proxy_wasm_filter: a filter's Python, frozen into one Proxy-Wasm core module."""

load("//bazel:defs.bzl", "python_action", "python_attributes", "python_module")
load("//bazel:runtime.bzl", "RuntimeInfo")

def _snapshot(ctx, runtime, out, warnings):
    """Freezes the filter into the runtime, and writes down what its author should know."""
    arguments = ctx.actions.args()
    arguments.add("--runtime", runtime.runtime)
    arguments.add("--compiled", runtime.compiled)
    arguments.add("--stdlib", runtime.stdlib)
    arguments.add("--abi", runtime.abi)
    arguments.add("--module", ctx.attr.module)
    arguments.add_all([".", ctx.bin_dir.path], before_each = "--root")
    arguments.add_all(ctx.files.packages, before_each = "--root", expand_directories = False)
    arguments.add("--out", out)
    arguments.add("--warnings", warnings)
    python_action(
        ctx,
        module = "toolchain.snapshot",
        arguments = [arguments],
        inputs = depset(
            ctx.files.srcs + ctx.files.deps + ctx.files.packages +
            [runtime.runtime, runtime.compiled, runtime.stdlib, runtime.abi],
            transitive = [runtime.programs],
        ),
        outputs = [out, warnings],
        mnemonic = "Snapshot",
        progress_message = "Freezing %s into %s" % (ctx.attr.module, out.short_path),
    )

def _tier(ctx, runtime, snapshot, warnings, out, report):
    """Keeps compiled what the filter's training runs, and makes the rest cold."""
    arguments = ctx.actions.args()
    arguments.add("--snapshot", snapshot)
    arguments.add("--translation", runtime.translation)
    arguments.add("--interpreter", runtime.interpreter)
    arguments.add("--names", runtime.names)
    arguments.add("--abi", runtime.abi)
    arguments.add("--training", python_module(ctx.file.training))
    arguments.add("--out", out)
    arguments.add("--warnings", warnings)
    arguments.add("--report", report)
    python_action(
        ctx,
        module = "toolchain.tier.build",
        arguments = [arguments],
        inputs = depset(
            ctx.files.srcs + ctx.files.deps + ctx.files._testing +
            [ctx.file.training, snapshot, warnings, runtime.translation, runtime.interpreter, runtime.names, runtime.abi],
            transitive = [runtime.tier_programs],
        ),
        outputs = [out, report],
        mnemonic = "Tier",
        progress_message = "Training %s" % out.short_path,
    )

def _proxy_wasm_filter_impl(ctx):
    runtime = ctx.attr.runtime[RuntimeInfo]
    out = ctx.outputs.out
    warnings = ctx.actions.declare_file(ctx.label.name + ".warnings.txt")
    if ctx.attr.cold_tier:
        snapshot = ctx.actions.declare_file(ctx.label.name + ".snapshot.wasm")
        report = ctx.actions.declare_file(ctx.label.name + ".report.txt")
        _snapshot(ctx, runtime, snapshot, warnings)
        _tier(ctx, runtime, snapshot, warnings, out, report)
        groups = OutputGroupInfo(report = depset([report]), snapshot = depset([snapshot]))
    else:
        _snapshot(ctx, runtime, out, warnings)
        groups = OutputGroupInfo(snapshot = depset([out]))
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out])), groups]

_ATTRIBUTES = {
    "cold_tier": attr.bool(
        default = True,
        doc = "Whether functions that the training does not run are interpreted: the proxy then need not compile them.",
    ),
    "deps": attr.label_list(allow_files = [".py"], doc = "Other sources of this repository that the filter imports."),
    "module": attr.string(mandatory = True, doc = "The module to import, such as `filter.plugin`."),
    "out": attr.output(mandatory = True, doc = "The core module."),
    "packages": attr.label_list(
        allow_files = True,
        doc = "Pure-Python packages from pinned wheels, such as `@wheels_protoc//:site`.",
    ),
    "runtime": attr.label(default = "//toolchain:runtime", providers = [RuntimeInfo]),
    "srcs": attr.label_list(mandatory = True, allow_files = [".py"]),
    "training": attr.label(
        default = "//proxy_wasm:testing/training.py",
        allow_single_file = [".py"],
        doc = "What the filter does all day: a Python file with a function `train`, such as the default's.",
    ),
    "_testing": attr.label(default = "//proxy_wasm:testing"),
}
_ATTRIBUTES.update(python_attributes(wheels = ["build"]))

proxy_wasm_filter = rule(
    implementation = _proxy_wasm_filter_impl,
    attrs = _ATTRIBUTES,
)
