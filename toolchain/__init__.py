"""Build time: from componentize-py's component to a runtime, and from a filter's Python to one Proxy-Wasm core module."""
