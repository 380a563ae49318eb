"""Proxy-Wasm hosts for tests: one that runs a filter in this process, one that runs a built module on wasmtime."""
