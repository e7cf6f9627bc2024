#!/bin/sh
# The one list of Debian packages that building and checking vdi can make use of. To use the header a C compiler is enough.
#     packages.sh list GROUP...       their names
#     packages.sh missing GROUP...    those that are not installed
#     packages.sh install GROUP...    install what is missing, if this is root on a machine with apt-get; says what it does
# Groups: test, check, docs, box2d, ways, all (these five), and matrix, which is large.
set -eu

names() {
    case $1 in
    test) echo libcriterion-dev ;;
    # compilers; C libraries; emulators; what the snippet and generator steps are tried with
    check) echo gcc g++ clang libclang-rt-14-dev tcc musl-tools gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user gawk busybox black ;;
    # other processors and systems, their C libraries and what runs their programs
    matrix)
        echo gcc clang lld tcc musl-tools qemu-user qemu-system-arm
        for t in aarch64 armhf riscv64 s390x i686; do
            case $t in
            aarch64) echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;;
            armhf) echo gcc-arm-linux-gnueabihf libc6-dev-armhf-cross ;;
            i686) echo gcc-i686-linux-gnu libc6-dev-i386-cross ;;
            *) echo gcc-$t-linux-gnu libc6-dev-$t-cross ;;
            esac
        done
        echo gcc-mingw-w64-x86-64 gcc-mingw-w64-i686 wine wine64
        echo wasi-libc libclang-rt-14-dev-wasm32 nodejs gcc-arm-none-eabi libnewlib-arm-none-eabi
        ;;
    docs) echo doxygen ;;
    # what packages, bindings and pages are tried with
    ways) echo cmake meson ninja-build pkg-config python3 python3-numpy python3-scipy
        echo clang lld wasi-libc libclang-rt-14-dev-wasm32 nodejs npm chromium
        echo openmpi-bin libopenmpi-dev man-db zsh fish ;;
    box2d) echo g++ libbox2d-dev ;; # the simulators of examples/box2d
    all) names test; names check; names docs; names box2d; names ways ;;
    *) echo "packages.sh: no group is called $1" >&2; exit 2 ;;
    esac
}

missing() {
    for p in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$p" 2> /dev/null | grep -qx installed || echo "$p"
    done
}

verb=${1:?usage: packages.sh list|missing|install GROUP...}
shift
list=
for group in "$@"; do list="$list $(names "$group" | tr '\n' ' ')"; done
# shellcheck disable=SC2086  # package names are words
case $verb in
list) echo $list ;;
missing) missing $list ;;
install)
    if ! command -v apt-get > /dev/null || [ "$(id -u)" != 0 ]; then
        echo "To get what is missing here:  sudo apt-get install$list" >&2
        exit 1
    fi
    wanted=$(missing $list)
    [ -n "$wanted" ] || exit 0
    echo "installing" $wanted
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -q -y --no-install-recommends $wanted; } > /tmp/vdi-packages.$$ 2>&1 || {
        tail -n 20 /tmp/vdi-packages.$$ >&2
        rm -f /tmp/vdi-packages.$$
        echo "apt-get could not install" $wanted >&2
        exit 1
    }
    rm -f /tmp/vdi-packages.$$
    ;;
*) echo "packages.sh: list, missing or install, not $verb" >&2; exit 2 ;;
esac
