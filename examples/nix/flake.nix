{
  description = "A filter in Python, in a repository of its own";

  # Wherever the repository is: a URL of git, or a path.
  inputs.proxy-wasm.url = "path:/SOMEWHERE/proxy-wasm-python";

  outputs =
    { self, proxy-wasm }:
    {
      packages = builtins.mapAttrs (system: lib: {
        default = lib.buildFilter {
          name = "greeter";
          src = ./.;
          module = "greeter";
        };
      }) proxy-wasm.lib;
    };
}
