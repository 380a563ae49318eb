"""proxy_wasm_filter: a filter's Python, frozen into one Proxy-Wasm core module."""

load("//bazel:defs.bzl", "import_root", "python_action", "python_attributes", "python_module")
load("//bazel:runtime.bzl", "RuntimeInfo")

def _roots(ctx):
    """Where modules are looked up: the main repository first, then those that the filter's other sources come from."""
    roots = {".": None, ctx.bin_dir.path: None}
    for file in ctx.files.srcs + ctx.files.deps + [ctx.file.training]:
        roots[import_root(file)] = None
    return roots.keys()

def _step(ctx, step, files, inputs, outputs, mnemonic, progress_message):
    """Takes a step of `python -m toolchain filter`; `files` is what it writes or reads, by option."""
    runtime = ctx.attr.runtime[RuntimeInfo]
    arguments = ctx.actions.args()
    arguments.add("filter")
    arguments.add("--runtime", runtime.directory)
    arguments.add("--abi", runtime.abi)
    arguments.add_all(_roots(ctx), before_each = "--root")
    arguments.add_all(ctx.files.packages, before_each = "--root", expand_directories = False)
    arguments.add("--module", ctx.attr.module)
    arguments.add("--training", python_module(ctx.file.training))
    if step == "snapshot":
        arguments.add_all(ctx.attr.keep, before_each = "--keep")
    for option, file in files.items():
        arguments.add("--" + option, file)
    arguments.add("--step", step)
    arguments.add("--quiet")
    python_action(
        ctx,
        module = "toolchain",
        arguments = [arguments],
        inputs = depset(
            ctx.files.srcs + ctx.files.deps + ctx.files.packages + [runtime.abi] + inputs,
            transitive = [runtime.tier_programs if step == "tier" else runtime.programs],
        ),
        outputs = outputs,
        mnemonic = mnemonic,
        progress_message = progress_message,
    )

def _snapshot(ctx, files, frozen):
    """Freezes the filter into the runtime, and writes down what its author should know."""
    _step(
        ctx,
        "snapshot",
        files,
        inputs = ctx.attr.runtime[RuntimeInfo].snapshot_files,
        outputs = [frozen, files["warnings"]],
        mnemonic = "Snapshot",
        progress_message = "Freezing %s into %s" % (ctx.attr.module, frozen.short_path),
    )

def _tier(ctx, files):
    """Keeps compiled what the filter's training runs, and makes the rest cold."""
    read = [ctx.file.training, files["snapshot"], files["warnings"]] + ctx.files._testing
    _step(
        ctx,
        "tier",
        files,
        inputs = read + ctx.attr.runtime[RuntimeInfo].tier_files,
        outputs = [files["out"], files["report"]],
        mnemonic = "Tier",
        progress_message = "Training %s" % files["out"].short_path,
    )

def _proxy_wasm_filter_impl(ctx):
    out = ctx.outputs.out
    files = {"warnings": ctx.actions.declare_file(ctx.label.name + ".warnings.txt")}
    if ctx.attr.cold_tier:
        files["snapshot"] = ctx.actions.declare_file(ctx.label.name + ".snapshot.wasm")
        _snapshot(ctx, files, files["snapshot"])
        files["out"] = out
        files["report"] = ctx.actions.declare_file(ctx.label.name + ".report.txt")
        _tier(ctx, files)
        groups = OutputGroupInfo(report = depset([files["report"]]), snapshot = depset([files["snapshot"]]))
    else:
        files["out"] = out
        _snapshot(ctx, files, out)
        groups = OutputGroupInfo(snapshot = depset([out]))
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out])), groups]

_ATTRIBUTES = {
    "cold_tier": attr.bool(
        default = True,
        doc = "Whether functions that the training does not run are interpreted: the proxy then need not compile them.",
    ),
    "deps": attr.label_list(allow_files = [".py"], doc = "Other sources that the filter imports, of this repository or another."),
    "keep": attr.string_list(
        doc = "Modules, such as `_pickle`, and codecs, such as `encodings.gbk`, that the filter imports by names which none of " +
              "its sources has.",
    ),
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
