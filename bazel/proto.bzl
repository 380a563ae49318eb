"""proto_encoders: light Python encoders for a .proto file's messages, for the guest."""

load("//bazel:defs.bzl", "import_root", "python_action", "python_attributes")

def _proto_encoders_impl(ctx):
    # The same for all: a rule's own files are of one repository.
    root = import_root(ctx.files.srcs[0])
    outputs = [
        ctx.actions.declare_file(file.basename[:-len(".proto")] + "_pb.py")
        for file in ctx.files.srcs
    ]
    arguments = ctx.actions.args()
    arguments.add("--root", root)
    arguments.add(import_root(outputs[0]))
    arguments.add_all(ctx.files.srcs)
    python_action(
        ctx,
        module = "proto.protoc",
        arguments = [arguments],
        inputs = ctx.files.srcs + ctx.files._generator,
        outputs = outputs,
        mnemonic = "Protoc",
        progress_message = "Generating %s" % outputs[0].short_path,
    )
    return [DefaultInfo(
        files = depset(outputs + ctx.files._runtime),
        runfiles = ctx.runfiles(files = outputs + ctx.files._runtime),
    )]

_ATTRIBUTES = {
    "srcs": attr.label_list(mandatory = True, allow_files = [".proto"]),
    "_generator": attr.label(default = "//proto:generator"),
    "_runtime": attr.label(default = "//proto:_wire.py", allow_single_file = True),
}
_ATTRIBUTES.update(python_attributes(wheels = ["protoc"]))

proto_encoders = rule(
    implementation = _proto_encoders_impl,
    attrs = _ATTRIBUTES,
)
