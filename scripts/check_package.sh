#!/bin/sh
# The steps of check.sh that try what others take: the library, the packages, the bindings, the pages. Read by check.sh.
# shellcheck disable=SC2154  # $dir, $note, $B and the words are check.sh's

# What is tried is the way, not the arithmetic, so the implementation is compiled as fast as it goes.
FAST="-O0 -DVDI_NO_SIMD"
version() { awk '$2 == "VDI_VERSION" { gsub(/"/, "", $3); print $3 }' $TREE/core/config.h; }
# the spikes of examples/spikes.c, from whatever program that is
finds_spikes() {
    echo "+ $*"
    "$@" > "$dir/spikes" || die "$* failed"
    awk '{ n += $3; if ($1 > 1.8 && $1 < 2.2) early += $3 } END { exit !(n > 2 && n < 4.5 && early > 0.7 && early < 1.4) }' "$dir/spikes" ||
        { cat "$dir/spikes"; die "three spikes were not found"; }
}
# Steps run beside each other: what several of them build, one builds at a time.
alone() {
    mkdir -p "$B"
    if command -v flock > /dev/null; then run flock "$B/package.lock" "$@"; else run "$@"; fi
}
library() { alone $MAKE -s --no-print-directory lib B="$B/fast" CFLAGS="$FAST" CC=gcc; }

step_install() {
    library
    run $MAKE -s --no-print-directory install DESTDIR="$PWD/$dir/dest" PREFIX=/usr B="$B/fast"
    for file in include/vdi.h include/vdi_weights.h lib/libvdi.a lib/libvdi.so lib/pkgconfig/vdi.pc share/vdi/api.json; do
        run test -s "$dir/dest/usr/$file"
    done
    run gcc -std=c11 "-I$dir/dest/usr/include" examples/spikes.c "-L$dir/dest/usr/lib" -lvdi -o "$dir/shared" -lm
    LD_LIBRARY_PATH=$dir/dest/usr/lib finds_spikes "$dir/shared"
    if command -v pkg-config > /dev/null; then
        export PKG_CONFIG_PATH="$dir/dest/usr/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$PWD/$dir/dest"
        run pkg-config --print-errors --exact-version="$(version)" vdi vdi-lib
        run gcc -std=c11 $(pkg-config --cflags vdi) $FAST tests/vdi_impl.c examples/spikes.c -o "$dir/compiled" $(pkg-config --libs vdi)
        finds_spikes "$dir/compiled"
    fi
}

# Every function of the header is a symbol, and nothing else; the description of the interface is true of the header.
step_lib() {
    need python3 python3
    library
    lib=$B/fast/lib
    run python3 scripts/library/layout.py "$lib/api.json" > "$dir/layout.c"
    sed 1d "$dir/layout.c" > "$dir/layout_only.c"
    run gcc -std=c11 -Werror -I. -c "$dir/layout_only.c" -o "$dir/layout.o"
    sed -n '/^"functions"/,/^"data"/s/^    {"name": "\(vdi_[a-z0-9_]*\)".*/\1/p' "$lib/api.json" | sort > "$dir/declared"
    nm -D --defined-only "$lib/libvdi.so" | awk '$2 ~ /[TBDR]/ { sub(/@.*/, "", $3); print $3 }' | sort > "$dir/exported"
    diff "$dir/declared" "$dir/exported" > "$dir/diff"
    grep '^[<>]' "$dir/diff" | grep -v '^> vdi_\(api_json\|sizeof\)$' && die "declared (<) and exported (>) differ"
    grep -q "^VDI_$(version | cut -d. -f1,2) {" scripts/library/vdi.map || die "vdi.map has another version"
    printf '%s\n' '#include "vdi.h"' '#include <stdio.h>' 'size_t vdi_sizeof(const char *name);' 'int main(void) {' \
        '    printf("%s %d %d\n", vdi_version(), vdi_sizeof("vdi_lds") == sizeof(vdi_lds), vdi_sizeof("none") == 0);' \
        '    return 0;' '}' > "$dir/sizes.c"
    run gcc -std=c11 -I. "$dir/sizes.c" -o "$dir/sizes" "$lib/libvdi.a" -lm -lpthread
    [ "$("$dir/sizes")" = "$(version) 1 1" ] || die "the library says $("$dir/sizes")"
    if command -v x86_64-w64-mingw32-gcc > /dev/null; then
        run $MAKE -s --no-print-directory lib B="$B/fast/dll" CFLAGS="$FAST" CC=x86_64-w64-mingw32-gcc
        run test -s "$B/fast/dll/lib/vdi.dll"
        dll=", a DLL too"
    fi
    say "$(wc -l < "$dir/declared" | tr -d ' ') functions, $(grep -c _Static_assert "$dir/layout.c") sizes and places${dll:-}"
}

# The tool for Windows, without a warning, beside the one of this system.
step_windows() {
    need x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64
    alone $MAKE -s --no-print-directory "$B/fast/windows/vdi.exe" B="$B/fast/windows" TOOL_AT="$B/fast/windows/vdi.exe" \
        CC=x86_64-w64-mingw32-gcc CFLAGS="$FAST -Werror" LDFLAGS="-s -static"
    command -v wine > /dev/null || { echo "compiled; to run it needs wine64" > "$note"; exit 77; }
    run x86_64-w64-mingw32-gcc -std=gnu11 -Wall -Wextra -Werror -I. tests/portable/server.c "$B"/fast/windows/tool/vdi-*.o \
        -o "$dir/server.exe" -static -lm -lpthread
    alone $MAKE -s --no-print-directory "$B/fast/vdi" B="$B/fast" TOOL_AT="$B/fast/vdi" CFLAGS="$FAST" CC=gcc
    mkdir -p "$B/wine"
    # wine takes names of files from Unix by the locale
    LC_ALL=C.UTF-8 WINEDEBUG=-all WINEPREFIX=$(cd "$B/wine" && pwd) sh tests/windows.sh "wine $B/fast/windows/vdi.exe" "$B/fast/vdi" "$dir/server.exe" > "$dir/out" 2>&1
    rc=$?
    cat "$dir/out"
    say "$(tail -n 1 "$dir/out"), $(($(wc -c < "$B/fast/windows/vdi.exe") / 1024)) KB unoptimised"
    [ $rc = 0 ] || return $rc
    # a program on the DLL
    alone $MAKE -s --no-print-directory lib B="$B/fast/dll" CFLAGS="$FAST" CC=x86_64-w64-mingw32-gcc
    run x86_64-w64-mingw32-gcc -std=c11 -I. examples/spikes.c "$B/fast/dll/lib/libvdi.dll.a" -o "$dir/spikes.exe"
    cp "$B/fast/dll/lib/vdi.dll" "$dir"
    WINEDEBUG=-all WINEPREFIX=$(cd "$B/wine" && pwd) finds_spikes wine "$dir/spikes.exe"
}

# A project that fetches vdi, and one that finds it installed, with the library and without.
step_cmake() {
    need cmake cmake
    run cmake -S examples/cmake -B "$dir/fetched" "-DCMAKE_C_FLAGS=$FAST"
    run cmake --build "$dir/fetched"
    finds_spikes "$dir/fetched/spikes"
    run $MAKE -s --no-print-directory install DESTDIR="$PWD/$dir/header" PREFIX=/usr B="$dir/none"
    run cmake -S examples/cmake -B "$dir/header/build" "-DCMAKE_PREFIX_PATH=$PWD/$dir/header/usr" "-DCMAKE_C_FLAGS=$FAST"
    run cmake --build "$dir/header/build"
    finds_spikes "$dir/header/build/spikes"
    library
    run $MAKE -s --no-print-directory install DESTDIR="$PWD/$dir/dest" PREFIX=/usr B="$B/fast"
    run cmake -S examples/cmake -B "$dir/found" "-DCMAKE_PREFIX_PATH=$PWD/$dir/dest/usr" -DCMAKE_DISABLE_FIND_PACKAGE_Git=ON
    run cmake --build "$dir/found"
    finds_spikes "$dir/found/spikes"
    grep -q "^vdi_DIR.*dest/usr" "$dir/found/CMakeCache.txt" || die "the installed package was not found"
    say "fetched, installed, installed with the library"
}

step_meson() {
    need meson meson
    need ninja ninja-build
    mkdir -p "$dir/project/subprojects/vdi"
    cp examples/meson/meson.build examples/spikes.c "$dir/project"
    cp -r meson.build vdi.h include "$dir/project/subprojects/vdi"
    mkdir -p "$dir/project/subprojects/vdi/scripts" && cp -r scripts/library "$dir/project/subprojects/vdi/scripts"
    run meson setup "-Dc_args=$FAST" --buildtype=plain "$dir/build" "$dir/project"
    run ninja -C "$dir/build"
    finds_spikes "$dir/build/spikes"
}

# The binding with Debian's Python: its tests, and the tour as far as it goes in a few seconds.
step_python() {
    python=
    for p in python3 /usr/bin/python3; do
        if [ -z "$python" ] && $p -c 'import numpy' 2> /dev/null; then python=$p; fi
    done
    [ -n "$python" ] || { echo "needs python3-numpy" > "$note"; exit 77; }
    library
    export VDI_LIBRARY="$PWD/$B/fast/lib/libvdi.so" PYTHONDONTWRITEBYTECODE=1
    "$python" tests/binding.py > "$dir/out" 2>&1 || { cat "$dir/out"; exit 1; }
    run "$python" examples/python/tour.py --quick "$dir/pictures"
    [ "$(find "$dir/pictures" -type f | wc -l)" -eq 5 ] || die "five files were expected in $dir/pictures"
    say "$(sed -n 's/^Ran \([0-9]*\) tests.*/\1 tests/p' "$dir/out"), the tour"
}

# The browser page in headless Chromium, against the native library's numbers.
playwright() {
    if [ -d "$B/node/node_modules/playwright-core" ]; then return; fi
    mkdir -p "$B/node"
    (alone npm install --no-audit --no-fund --ignore-scripts --prefix "$B/node" playwright-core) || { echo "needs playwright-core from npm" > "$note"; exit 77; }
}
step_try() {
    need clang clang
    need wasm-ld lld
    need node nodejs
    need npm npm
    need chromium chromium
    [ -d /usr/lib/wasm32-wasi ] || { echo "needs wasi-libc" > "$note"; exit 77; }
    python3 -c 'import numpy' 2> /dev/null || python=/usr/bin/python3
    playwright
    alone $MAKE -s --no-print-directory wasm B="$B"
    [ "$(wc -c < "$B/try/index.html")" -le 3145728 ] || die "the page has more than 3 MB"
    library
    mkdir -p "$dir/data"
    VDI_LIBRARY=$PWD/$B/fast/lib/libvdi.so PYTHONDONTWRITEBYTECODE=1 run "${python:-python3}" tests/try.py "$dir/data"
    NODE_PATH=$PWD/$B/node/node_modules node tests/try.mjs "$B/try/index.html" "$dir/data" > "$dir/out" 2>&1
    rc=$?
    cat "$dir/out"
    say "$(tail -n 1 "$dir/out"), $(($(wc -c < "$B/try/index.html") / 1024)) KB; $(sed -n 's/^note: //p' "$dir/out" | tr '\n' ';')"
    return $rc
}

# The site: every link leads somewhere, every page fits its window, the search finds.
step_site() {
    need python3 python3
    alone $MAKE -s --no-print-directory "$B/lib/api.json" B="$B"
    mkdir -p "$dir/printed"
    python3 scripts/site/site.py "$dir/site" "$B/lib/api.json" "$dir/printed" "$B/try/index.html" > "$dir/links" 2>&1 || { cat "$dir/links"; die "dead links"; }
    looked=", not looked at (needs node, npm, chromium)"
    if command -v node > /dev/null && command -v npm > /dev/null && command -v chromium > /dev/null; then
        playwright
        NODE_PATH=$PWD/$B/node/node_modules run node tests/site.mjs "$dir/site"
        looked=", looked at in three widths"
    fi
    say "$(tail -n 1 "$dir/links")$looked"
}

# One process or several: the same losses, at every step.
step_mpi() {
    need mpirun openmpi-bin
    need mpicc libopenmpi-dev
    alone $MAKE -s --no-print-directory mpi B="$B/fast" CFLAGS="$FAST" CC=gcc
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
    for program in examples/mpi/*.c; do
        program=$(basename "$program" .c)
        for n in 1 2 4; do
            echo "+ mpirun -n $n $program"
            mpirun -n $n "$B/fast/mpi/$program" > "$dir/$program.$n" || die "$program fails on $n processes"
        done
        for n in 2 4; do
            paste "$dir/$program.1" "$dir/$program.$n" | awk '{ d = $2 - $4; if (d < 0) d = -d; a = $2 < 0 ? -$2 : $2
                    if ($1 != $3 || !(a > 0)) bad = 1; else if (d / a > worst) worst = d / a }
                END { printf "%.0e", worst; exit bad || !(NR >= 40 && worst < 1e-12) }' > "$dir/worst" ||
                die "$program on $n processes: off by $(cat "$dir/worst")"
            told="${told:-} $program on $n off by $(cat "$dir/worst");"
        done
    done
    say "${told# }"
}
