"""What joins CPython to the Proxy-Wasm ABI, generated from the ABI table: the C extension and the type stubs."""
