"""The command `proxy-wasm`: what an author of filters types."""
