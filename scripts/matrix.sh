#!/bin/sh
# Compiles the header and runs its tests on each platform that can be had on one Linux machine.
#     matrix.sh              all rows, one after the other (make matrix)
#     matrix.sh NAME...      these (make matrix-NAME)
#     matrix.sh --list       their names
# A row compiles vdi.h with warnings as errors, then the portable suite, runs it on the processor or
# emulator named, and holds it to the SIMD path and to the number of tests in tests/counts. By default
# the suites of SHORT run, at a fiftieth of their repetitions; FULL=1 runs all suites as they are. A
# row whose compiler or runner is missing is skipped and says which package has it. Exit 1 if a row
# failed.
set -u
export LC_ALL=C
MAKE=${MAKE:-make} B=${B:-build}
SHORT=${SHORT:-"alloc tensor field text rng same elementwise reduce gemm blocktri tape pool npy npz safetensors json"}

# name | build (rows of one build share the binary) | compiler | flags | link | runner | path | program=package ...
# A runner that begins with "!" is a row of its own kind, below.
rows() {
    one="-DVDI_NO_AVX2 -DVDI_NO_AVX512"
    haswell="-cpu Haswell,-pcid,-x2apic,-tsc-deadline,-hle,-invpcid,-rtm"
    cat << END
gcc        | gcc     | gcc                       |                                |          |                              | scalar | gcc=gcc
sse2       | gcc     | gcc                       |                                |          |                              | sse2   | gcc=gcc
avx2       | gcc     | gcc                       |                                |          |                              | avx2   | gcc=gcc
avx512     | gcc     | gcc                       |                                |          |                              | avx512 | gcc=gcc
nehalem    | gcc     | gcc                       |                                |          | qemu-x86_64 -cpu Nehalem     | sse2   | gcc=gcc qemu-x86_64=qemu-user
haswell    | gcc     | gcc                       |                                |          | qemu-x86_64 $haswell | avx2 | gcc=gcc qemu-x86_64=qemu-user
clang      | clang   | clang                     |                                |          |                              | best   | clang=clang
musl       | musl    | musl-gcc                  | $one                           | -static  |                              | sse2   | musl-gcc=musl-tools
tcc        | tcc     | tcc                       |                                |          | !program                     | scalar | tcc=tcc
aarch64    | aarch64 | aarch64-linux-gnu-gcc     |                                | -static  | qemu-aarch64                 | neon   | aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu qemu-aarch64=qemu-user
armhf      | armhf   | arm-linux-gnueabihf-gcc   |                                | -static  | qemu-arm                     | scalar | arm-linux-gnueabihf-gcc=gcc-arm-linux-gnueabihf qemu-arm=qemu-user
riscv64    | riscv64 | riscv64-linux-gnu-gcc     |                                | -static  | qemu-riscv64                 | scalar | riscv64-linux-gnu-gcc=gcc-riscv64-linux-gnu qemu-riscv64=qemu-user
s390x      | s390x   | s390x-linux-gnu-gcc       |                                | -static  | qemu-s390x                   | scalar | s390x-linux-gnu-gcc=gcc-s390x-linux-gnu qemu-s390x=qemu-user
i686       | i686    | i686-linux-gnu-gcc        | -msse2 -mfpmath=sse $one       | -static  | qemu-i386                    | sse2   | i686-linux-gnu-gcc=gcc-i686-linux-gnu qemu-i386=qemu-user
x87        | x87     | i686-linux-gnu-gcc        | -mfpmath=387 -mno-sse -DVDI_NO_SIMD | -static | qemu-i386                 | scalar | i686-linux-gnu-gcc=gcc-i686-linux-gnu qemu-i386=qemu-user
mingw64    | mingw64 | x86_64-w64-mingw32-gcc    | -D__USE_MINGW_ANSI_STDIO=1 $one | -static | wine                         | sse2   | x86_64-w64-mingw32-gcc=gcc-mingw-w64-x86-64 wine=wine64
mingw32    | mingw32 | i686-w64-mingw32-gcc      | -D__USE_MINGW_ANSI_STDIO=1 $one | -static | !wine32                      | sse2   | i686-w64-mingw32-gcc=gcc-mingw-w64-i686 wine=wine32
wasm32     | wasm32  | clang --target=wasm32-wasi | -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_GETPID -D_WASI_EMULATED_PROCESS_CLOCKS | -Wl,-z,stack-size=1048576 -lwasi-emulated-signal -lwasi-emulated-getpid -lwasi-emulated-process-clocks -lc-printscan-long-double | node --no-warnings tests/portable/wasi.mjs | scalar | clang=clang wasm-ld=lld node=nodejs
wasm128    | wasm128 | clang --target=wasm32-wasi | -msimd128 -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_GETPID -D_WASI_EMULATED_PROCESS_CLOCKS | -Wl,-z,stack-size=1048576 -lwasi-emulated-signal -lwasi-emulated-getpid -lwasi-emulated-process-clocks -lc-printscan-long-double | node --no-warnings tests/portable/wasi.mjs | simd128 | clang=clang wasm-ld=lld node=nodejs
cortexm4   | bare    | arm-none-eabi-gcc         | -mcpu=cortex-m4 -mthumb        |          | !bare                        | scalar | arm-none-eabi-gcc=gcc-arm-none-eabi,libnewlib-arm-none-eabi qemu-system-arm=qemu-system-arm
END
}

minimum() { # minimum SUITES: how many tests they have at least
    if [ "$1" = all ]; then
        awk '$1 == "portable" { print $2 }' tests/counts
    else
        echo "$1" | tr ' ' '\n' | awk 'NR == FNR { n[$1] = $2; next } { sum += n[$1] } END { print sum + 0 }' tests/counts -
    fi
}

WARN_C="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wstrict-prototypes -Wmissing-prototypes -Werror"

# The whole portable suite, or the short list of it. O1: an optimised build of all paths takes minutes, and -O2 is what `make test` runs.
suites() {
    set -- TESTS="$SHORT"
    wanted=$(minimum "$SHORT")
    if [ "${FULL:-0}" = 1 ]; then
        set --
        wanted=$(minimum all)
    else
        VDI_TEST_SCALE=${VDI_TEST_SCALE:-0.02} VDI_TEST_EMULATED=1
        export VDI_TEST_SCALE VDI_TEST_EMULATED
    fi
    # tests that are not compiled: a fork, floating-point exceptions, other ways to round
    case $name in
    wasm*) wanted=$((wanted - 3)) ;;
    mingw*) wanted=$((wanted - 1)) ;;
    esac
    # GNU C, which the tests are in, would keep the digits of an x87 in the sums that they compare with
    test_flags=
    case $name in x87 | mingw32) test_flags=-ffloat-store ;; esac
    libs="-lm -lpthread"
    case $name in wasm*) libs=-lm ;; esac
    $MAKE -s --no-print-directory portable-build "$@" B="$dir" CC="$cc" CFLAGS="-O1 -Werror $flags" TEST_FLAGS="$test_flags" LDFLAGS= \
        LIBS="$link $libs" || return 1
    binary=$dir/portable/run
    [ -f "$binary" ] || binary=$binary.exe
    case $path in
    best) simd= ;;
    *) simd="--simd $path --expect $path" ;;
    esac
    # the path that an emulated processor chooses by itself is the point of those rows
    case $runner in *-cpu*) simd="--expect $path" ;; esac
    # most x86-64 systems run programs of 32 bits themselves, far faster than an emulation of the x87
    case $runner in qemu-i386) "$binary" --list > /dev/null 2>&1 && runner= ;; esac
    case $runner in qemu-*) VDI_TEST_NO_FORK=1; export VDI_TEST_NO_FORK ;; esac
    # wine takes names of files from Unix by the locale
    case $runner in wine) LC_ALL=C.UTF-8 ;; esac
    WINEDEBUG=-all $runner "$binary" $simd --at-least "$wanted" || return 1
}

# A compiler without constructors, by which the portable suite finds its tests: a program has to do.
program() {
    mkdir -p "$dir"
    $cc -std=c11 -Wall -Werror -I${VDI_DIR:-include/vdi} -c tests/vdi_impl.c -o "$dir/impl.o" || return 1
    $cc -std=c11 -I${VDI_DIR:-include/vdi} tests/header/main.c tests/header/other.c "$dir/impl.o" -o "$dir/program" -lm -lpthread ||
        return 1
    "$dir/program" || return 1
    echo "path scalar of scalar"
    echo "1 passed, 0 failed, 0 skipped"
}

# No operating system: a program of its own, whose output comes through the debugger's channel (semihosting).
bare() {
    mkdir -p "$dir"
    $cc -std=c11 $WARN_C $flags -Os -I${VDI_DIR:-include/vdi} tests/portable/bare.c -o "$dir/bare.elf" --specs=rdimon.specs \
        -Wl,--section-start=.vectors=0 -lm || return 1
    timeout 600 qemu-system-arm -M mps2-an386 -nographic -monitor none -serial null -semihosting-config enable=on,target=native \
        -kernel "$dir/bare.elf"
}

# wine runs programs of 32 bits only where its 32-bit half is installed; compiling is worth a row even without it.
wine32() {
    if ls -d /usr/lib/i386-linux-gnu/wine > /dev/null 2>&1; then
        runner=wine
        suites
        return
    fi
    mkdir -p "$dir"
    $cc -std=c11 $WARN_C $flags -O1 -I${VDI_DIR:-include/vdi} -c tests/vdi_impl.c -o "$dir/impl.o" || return 1
    echo "compiled without a warning; to run it needs wine32"
    return 77
}

row() { # row NAME: one line; 0 passed, 1 failed, 77 skipped
    line=$(rows | awk -F ' *[|] *' -v n="$1" '$1 == n { print; exit }')
    [ -n "$line" ] || { echo "matrix.sh: no row is called $1" >&2; exit 2; }
    field() { echo "$line" | awk -F ' *[|] *' -v k="$1" '{ sub(/ *$/, ""); print $k }'; }
    name=$1 cc=$(field 3) flags=$(field 4) link=$(field 5) runner=$(field 6) path=$(field 7)
    dir=$B/matrix/$(field 2) log=$B/matrix/$name.log
    mkdir -p "$B/matrix"
    for pair in $(field 8); do
        case $name:$pair in mingw32:wine=*) continue ;; esac
        command -v "${pair%%=*}" > /dev/null || { echo "skip $name: needs $(echo "${pair#*=}" | tr , ' ')"; return 77; }
    done
    case $path in avx512 | avx2)
        if [ -z "$runner" ] && ! grep -qw "$(echo $path | sed 's/avx512/avx512bw/')" /proc/cpuinfo 2> /dev/null; then
            echo "skip $name: this processor has no $path"
            return 77
        fi ;;
    esac
    start=$(date +%s)
    case $runner in
    !*) (${runner#!}) > "$log" 2>&1 < /dev/null ;;
    *) (suites) > "$log" 2>&1 < /dev/null ;;
    esac
    rc=$?
    took=$(($(date +%s) - start))
    ran=$(sed -n 's/.*path \([a-z0-9]*\) of.*/path \1/p' "$log" | tail -n 1)
    tests=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1 | tr -d '\r')
    if [ $rc = 77 ]; then
        echo "skip $name: $(tail -n 1 "$log") ($took s)"
        return 77
    fi
    if [ $rc != 0 ] || [ -z "$tests" ] || [ -z "$ran" ]; then
        echo "FAIL $name ($took s): ${ran:+$ran, }${tests:-no tests ran}"
        grep -E '^FAIL|error:|undefined reference|warning:|crashed' "$log" | tr -d '\r' | head -n 8 | cut -c1-200 | sed 's/^/     | /'
        echo "     (all of it: $log)"
        return 1
    fi
    echo "ok   $name ($took s): $ran, $tests"
}

if [ "${1:-}" = --list ]; then
    rows | sed 's/ .*//'
    exit 0
fi
[ $# -gt 0 ] || set -- $(rows | sed 's/ .*//')
passed=0 failed=0 skipped=0
for name in "$@"; do
    row "$name"
    case $? in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)) ;;
    *) failed=$((failed + 1)) ;;
    esac
done
echo "matrix: $passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $((passed + skipped)) -gt 0 ]
