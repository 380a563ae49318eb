{
  description = "Just enough of nixpkgs to run this repository's flake with Debian's Nix and Debian's programs";

  outputs =
    { self }:
    {
      lib = {
        genAttrs =
          names: f:
          builtins.listToAttrs (
            map (name: {
              inherit name;
              value = f name;
            }) names
          );
        fetchers.proxyImpureEnvVars = [
          "http_proxy"
          "https_proxy"
          "no_proxy"
          "NIX_SSL_CERT_FILE"
        ];
      };
      legacyPackages = {
        x86_64-linux = import ./pkgs.nix "x86_64-linux";
        aarch64-linux = import ./pkgs.nix "aarch64-linux";
      };
    };
}
