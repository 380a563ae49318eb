"""@host_tools: the Python that this machine brings, the only tool that is not pinned."""

_PROBE = "import platform, sys; print(sys.executable); print(platform.python_version())"

def find_python(rctx):
    """Finds Python 3.11 or newer, or fails with what to install.

    Args:
      rctx: the repository rule's context.

    Returns:
      A struct of `path`, an absolute path, and `version`, such as "3.11.2".
    """
    program = rctx.os.environ.get("PROXY_WASM_PYTHON") or rctx.which("python3")
    hint = "install Python 3.11 or newer with pip (Debian: apt-get install python3-pip), or name one in PROXY_WASM_PYTHON"
    if not program:
        fail("no python3 on the path; " + hint)
    result = rctx.execute([program, "-I", "-c", _PROBE])
    if result.return_code:
        fail("%s does not run: %s; %s" % (program, result.stderr, hint))
    path, version = result.stdout.strip().split("\n")
    if [int(part) for part in version.split(".")[:2]] < [3, 11]:
        fail("%s is Python %s; %s" % (path, version, hint))
    return struct(path = path, version = version)

def _host_tools_impl(rctx):
    python = find_python(rctx)
    rctx.file("defs.bzl", "PYTHON = %r\n\nPYTHON_VERSION = %r\n" % (python.path, python.version), executable = False)
    rctx.file("BUILD.bazel", "", executable = False)

host_tools = repository_rule(
    implementation = _host_tools_impl,
    environ = ["PATH", "PROXY_WASM_PYTHON"],
    local = True,
)
