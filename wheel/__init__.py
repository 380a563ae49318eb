"""The wheel `proxy-wasm`: what an author of filters installs."""
