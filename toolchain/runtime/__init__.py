"""From componentize-py's component to `runtime.wasm`: CPython as one core module, ready to start."""
