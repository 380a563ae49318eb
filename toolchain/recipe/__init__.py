"""What is built of what, in one place: Bazel, Nix, the tests and the command line (`python -m toolchain`) all go through it."""
