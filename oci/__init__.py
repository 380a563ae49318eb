"""Images of modules: an OCI layout that is a function of the module, and how it gets into a registry. The standard library alone."""
