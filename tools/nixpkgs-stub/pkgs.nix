system:
let
  # `nix develop` takes only derivations whose builder is called bash, and sources $stdenv/setup, as for the real stdenv.
  raw = attributes: derivation ({ inherit system; builder = "/bin/bash"; } // attributes);
  setup = raw {
    name = "stdenv";
    setup = ./setup.sh;
    args = [ "-ec" "mkdir $out; cp $setup $out/setup" ];
    PATH = "/usr/bin:/bin";
  };
  mkDerivation =
    attributes:
    raw (
      {
        stdenv = setup;
        outputs = [ "out" ];
        args = [ "-ec" "source $stdenv/setup; genericBuild" ];
      }
      // attributes
    );
  # A package of programs that Debian has.
  debian =
    programs:
    mkDerivation {
      name = builtins.head programs;
      inherit programs;
      installPhase = ''
        mkdir -p $out/bin
        for program in $programs; do ln -s /usr/bin/$program $out/bin/$program; done
      '';
    };
in
rec {
  stdenv = {
    inherit mkDerivation;
    cc.cc.lib = "";
  };
  mkShell =
    { packages ? [ ], ... }@attributes:
    mkDerivation (
      { name = "nix-shell"; nativeBuildInputs = packages; installPhase = "export >$out"; }
      // removeAttrs attributes [ "packages" ]
    );
  writeShellScriptBin =
    name: text:
    mkDerivation {
      inherit name;
      text = "#!/bin/bash\n${text}";
      passAsFile = [ "text" ];
      installPhase = "mkdir -p $out/bin; cp $textPath $out/bin/${name}; chmod +x $out/bin/${name}";
    };
  # Debian's loader is where the wheels' binaries look for it.
  autoPatchelfHook = "";
  python311 = debian [ "python3" ] // { withPackages = _packages: debian [ "python3" ]; };
  bashInteractive = debian [ "bash" ];
  bazel_7 = debian [ "bazel" ];
}
