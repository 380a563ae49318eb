"""The binary format of WebAssembly: modules, sections, instructions."""
