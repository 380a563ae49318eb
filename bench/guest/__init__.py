"""Guest time: what a callback takes inside of the module, hot, with a proxy around it that answers at once.

The proxy is WebAssembly too: `proxy.py` writes it for the module at hand. So no call leaves the engine while the clock runs, and the
same module, proxy and loop run in wasmtime and in V8.
"""
