"""The builder's own VM: runs the runtime under wasmtime, gives it sources, and finds what they import late."""
