"""pip_wheels: a repository of the wheels that one lock file pins, unpacked.

Which index the files come from is the machine's business: the lock names their hashes, and content decides.
"""

load("//bazel:host.bzl", "find_python")

# A directory, and not a glob of its files: one symlink in a sandbox instead of thousands.
_BUILD = """\
exports_files(["site"])
"""

def _run(rctx, what, command, forgive = None):
    """Runs a command, or fails; returns False if it failed and said what is to be forgiven."""
    result = rctx.execute(command, timeout = 1800)
    if not result.return_code:
        return True
    if forgive and forgive in result.stderr:
        return False
    fail("@%s: %s failed (%d)\n%s%s" % (rctx.name, what, result.return_code, result.stdout, result.stderr))

def _pip_wheels_impl(rctx):
    python = find_python(rctx)

    # read(), unlike path(), watches the file in every Bazel from 4 on.
    rctx.file("wheels.lock", rctx.read(rctx.attr.lock), executable = False)
    rctx.file("unpack_wheels.py", rctx.read(rctx.attr._unpack), executable = False)
    if rctx.execute([python.path, "-m", "pip", "--version"]).return_code:
        fail("%s has no pip; install it (Debian: apt-get install python3-pip)" % python.path)
    downloaded = _run(rctx, "the download of %s" % rctx.attr.lock, [
        python.path,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
        "--requirement=wheels.lock",
        "--dest=wheels",
    ], forgive = "No matching distribution found" if rctx.attr.optional else None)
    if downloaded:
        _run(rctx, "unpacking", [python.path, "-I", "-B", "unpack_wheels.py", "wheels", "site", rctx.attr.omit])
        rctx.delete("wheels")
    else:
        rctx.file("site/none", "There are no wheels for this machine or Python.\n", executable = False)
    rctx.file("BUILD.bazel", _BUILD, executable = False)

pip_wheels = repository_rule(
    implementation = _pip_wheels_impl,
    attrs = {
        "lock": attr.label(mandatory = True, allow_single_file = True),
        "omit": attr.string(doc = "A regular expression: files whose whole path matches are not unpacked."),
        "optional": attr.bool(doc = "Where there are no wheels for this machine or Python, the group is empty."),
        "_unpack": attr.label(default = "//bazel:unpack_wheels.py"),
    },
    environ = ["PATH", "PROXY_WASM_PYTHON"],
)
