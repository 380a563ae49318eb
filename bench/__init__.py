"""What does Python in the data path cost? Benchmarks against a Wasm-free proxy, and the report about them."""
