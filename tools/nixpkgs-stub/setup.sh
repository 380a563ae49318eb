PATH=
for _package in ${nativeBuildInputs-}; do PATH=$PATH${PATH:+:}$_package/bin; done
unset _package
export PATH=$PATH${PATH:+:}/usr/bin:/bin
genericBuild() {
    eval "$installPhase"
}
