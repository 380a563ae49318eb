"""Python programs, tests and actions without rules_python."""

load("@host_tools//:defs.bzl", "PYTHON", "PYTHON_VERSION")

# Only the standard library: no site-packages, no user's directory, nothing of the environment.
_ISOLATED = ["-I", "-S", "-B"]

_LAUNCHER = """\
#!/bin/sh
# Python {version}
set -eu
if [ -n "${{TEST_SRCDIR:-}}" ]; then
    runfiles=$TEST_SRCDIR
elif [ -d "$0.runfiles" ]; then
    runfiles=$0.runfiles
else
    runfiles=$RUNFILES_DIR
fi
cd "$runfiles/{workspace}"
if [ -n "${{BUILD_WORKSPACE_DIRECTORY:-}}" ]; then
    export PROXY_WASM_WORKSPACE="$BUILD_WORKSPACE_DIRECTORY"
fi
exec {command} "$@"
"""

def python_module(file):
    """Names a source file as imports do.

    Args:
      file: a Python file of this repository or another one.

    Returns:
      the module's dotted name, which starts at the root of the file's repository.
    """
    path = _within(file)
    if not path.endswith(".py"):
        fail("%s is not a Python file" % path)
    return path[:-len(".py")].replace("/", ".")

def _within(file):
    """The path of a file in its repository."""
    path = file.short_path
    return path.split("/", 2)[2] if path.startswith("../") else path

def import_root(file):
    """Returns the directory, relative to an action's, that imports of a file start from.

    Args:
      file: a source, or a file that was generated, of any repository.
    """
    return file.path[:-len(_within(file))].rstrip("/") or "."

def _own_repository(ctx):
    """The directory in the runfiles that the target's repository has."""
    return ctx.label.workspace_root.split("/")[-1] or ctx.workspace_name

def _repository(ctx, file):
    """The directory in the runfiles that a file's repository has."""
    path = file.short_path
    return path.split("/")[1] if path.startswith("../") else ctx.workspace_name

def _quote(text):
    return "'%s'" % text.replace("'", "'\\''")

def _from_root(workspace, ctx, file):
    """The path of a file in the runfiles, from the directory of a repository there."""
    repository = _repository(ctx, file)
    return _within(file) if repository == workspace else "../%s/%s" % (repository, _within(file))

def _launcher(ctx, module, arguments, files):
    """The providers of a script that runs a module in the runfiles directory."""
    script = ctx.actions.declare_file(ctx.label.name + ".sh")
    workspace = _own_repository(ctx)
    rules = _repository(ctx, ctx.file._launch)

    # A program of another workspace finds its own modules first, and then those of this repository.
    roots = ["."] + (["../" + rules] if rules != workspace else [])
    paths = roots + [_from_root(workspace, ctx, site) for site in ctx.files.wheels]
    command = [PYTHON] + _ISOLATED + [_from_root(workspace, ctx, ctx.file._launch)] + paths + ["--", module] + arguments
    ctx.actions.write(script, _LAUNCHER.format(
        command = " ".join([_quote(word) for word in command]),
        version = PYTHON_VERSION,
        workspace = workspace,
    ), is_executable = True)
    runfiles = ctx.runfiles(files = files + ctx.files.srcs + ctx.files.data + ctx.files.wheels + [ctx.file._launch])
    for target in ctx.attr.srcs + ctx.attr.data:
        runfiles = runfiles.merge(target[DefaultInfo].default_runfiles)
    return DefaultInfo(executable = script, runfiles = runfiles)

_LAUNCH = attr.label(default = "//bazel:launch.py", allow_single_file = True)

def _python_binary_impl(ctx):
    return [_launcher(ctx, python_module(ctx.file.main), [], [ctx.file.main])]

_python_binary = rule(
    implementation = _python_binary_impl,
    executable = True,
    attrs = {
        "data": attr.label_list(allow_files = True),
        "main": attr.label(mandatory = True, allow_single_file = [".py"]),
        "srcs": attr.label_list(allow_files = True),
        "wheels": attr.label_list(allow_files = True),
        "_launch": _LAUNCH,
    },
)

def python_binary(name, main, wheels = [], **kwargs):
    """Declares a program for `bazel run`.

    It runs in its runfiles directory, so that data has the path that it has in the repository. What is to be written for the user
    belongs below the directory that the environment variable PROXY_WASM_WORKSPACE names.

    Args:
      name: the target's name.
      main: the file to run; it runs as the module that its path makes it.
      wheels: the groups of wheels that can be imported.
      **kwargs: srcs, data (files beside `main`), args, and what every rule has.
    """
    _python_binary(name = name, main = main, wheels = _sites(wheels), **kwargs)

def _pytest_test_impl(ctx):
    workspace = _own_repository(ctx)
    arguments = ["--config-file=" + _from_root(workspace, ctx, ctx.file.config)] + [
        _from_root(workspace, ctx, file)
        for file in ctx.files.srcs
        if file.extension == "py" and file.basename != "conftest.py"
    ]
    info = _launcher(ctx, python_module(ctx.file._runner), arguments, [ctx.file._runner, ctx.file.config])
    return [info, testing.TestEnvironment(ctx.attr.env)]

_pytest_test = rule(
    implementation = _pytest_test_impl,
    test = True,
    attrs = {
        "config": attr.label(default = "//:pyproject.toml", allow_single_file = True),
        "data": attr.label_list(allow_files = True),
        "env": attr.string_dict(),
        "srcs": attr.label_list(mandatory = True, allow_files = [".py"]),
        "wheels": attr.label_list(allow_files = True),
        "_launch": _LAUNCH,
        "_runner": attr.label(default = "//bazel:run_pytest.py", allow_single_file = True),
    },
)

def pytest_test(name, srcs, wheels = ["test"], **kwargs):
    """Declares a test that runs pytest over files.

    It runs in its runfiles directory, which is also the root that imports start from. No test collected is a failure.

    Args:
      name: the target's name.
      srcs: the test files, and conftest.py.
      wheels: the groups of wheels that can be imported; "test" has pytest.
      **kwargs: data (what the tests import, read and run), config (pytest's, this repository's if there is no other), env, args (for pytest), and what every test rule has.
    """
    _pytest_test(name = name, srcs = srcs, wheels = _sites(wheels), **kwargs)

def _sites(groups):
    # Label(), as the caller's package may be one of another workspace.
    return [Label("@wheels_%s//:site" % group) for group in groups]

def python_attributes(wheels = []):
    """Returns the attributes that a rule needs for `python_action`.

    Args:
      wheels: the groups of wheels that the action's program can import.
    """
    return {
        "_launch": _LAUNCH,
        "_wheels": attr.label_list(default = _sites(wheels), allow_files = True),
    }

def python_action(ctx, module, arguments, inputs, outputs, mnemonic, progress_message):
    """Runs a module of this repository in an action of a rule that has `python_attributes`.

    Args:
      ctx: the rule's context.
      module: the dotted name of the module; its file, and all that it imports from this repository, must be among the inputs.
      arguments: what `ctx.actions.run` takes.
      inputs: a list of files, or a depset.
      outputs: a list of files.
      mnemonic: one word that names the kind of action.
      progress_message: what Bazel shows while it runs.
    """
    launch = ctx.actions.args()

    # Not -I, which would ignore the hash seed: what a program writes must not depend on the order of a set.
    # The root of this repository, which for another workspace is not the action's directory.
    own = ctx.file._launch.owner.workspace_root
    roots = [own, ctx.bin_dir.path + "/" + own] if own else [".", ctx.bin_dir.path]
    launch.add_all(["-P", "-S", "-B", ctx.file._launch] + roots)
    launch.add_all(ctx.files._wheels, expand_directories = False)
    launch.add_all(["--", module])
    ctx.actions.run(
        executable = PYTHON,
        arguments = [launch] + arguments,
        inputs = depset(
            [ctx.file._launch] + ctx.files._wheels,
            transitive = [inputs if type(inputs) == "depset" else depset(inputs)],
        ),
        outputs = outputs,
        env = {
            "LC_ALL": "C.UTF-8",
            "PATH": "/usr/bin:/bin",
            "PYTHONHASHSEED": "0",
            # Another Python is another action.
            "PYTHON_VERSION": PYTHON_VERSION,
        },
        mnemonic = mnemonic,
        progress_message = progress_message,
    )
