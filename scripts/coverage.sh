#!/bin/sh
# How much of include/vdi the tests run: gcov over the native suite, on each path that is here.
#     coverage.sh            build, run, print the table; exit 1 if a bound is missed (make coverage)
#     coverage.sh --table    the table of what has run so far
# Bounds: LINES (95) and BRANCHES (85) of all, and 85 lines of each file. A line or a branch that stands in
# several passes counts as run if it ran in one. Tests run in full length unless VDI_TEST_SCALE says less.
set -u
export LC_ALL=C
CC=${CC:-gcc} B=${B:-build} LINES=${LINES:-95} BRANCHES=${BRANCHES:-85}
out=$B/coverage
mkdir -p "$out/o"

build() {
    # at -O1 the vector kernels run fast enough; inlining would hide functions, and threads would lose counts without atomic
    $CC -std=c11 -O1 -fno-inline -g1 --coverage -fprofile-update=atomic -Iinclude/vdi -c tests/vdi_impl.c -o "$out/impl.o" || exit 1
    for source in tests/*.c tests/portable/main.c; do
        case $source in */vdi_impl.c) continue ;; esac
        $CC -w -std=gnu11 -O1 -DVDI_TEST_PORTABLE -Iinclude/vdi -c "$source" -o "$out/o/$(basename "$source" .c).o" || exit 1
    done
    $CC --coverage "$out"/o/*.o "$out/impl.o" -o "$out/run" -lm -lpthread || exit 1
}

table() {
    gcov -b -c -t -o "$out/impl.o" tests/vdi_impl.c 2> /dev/null | awk -v lines="$LINES" -v branches="$BRANCHES" '
        / 0:Source:/ { file = $0; sub(/.*Source:/, "", file); ours = file ~ /include\/vdi\//; sub(/.*include\/vdi\//, "", file); next }
        !ours { next }
        /^ *[^:]*: *[0-9]+:/ {
            split($0, part, ":"); count = part[1]; at = part[2] + 0; gsub(/[ *]/, "", count)
            branch = 0
            if (count == "-" || at == 0) next
            key = file SUBSEP at
            if (!(key in seen)) { seen[key] = 1; total[file]++ }
            if (count !~ /^[#=]/ && !(key in ran)) { ran[key] = 1; hit[file]++ }
            next
        }
        /^branch +[0-9]+/ {
            key = file SUBSEP at SUBSEP $2
            if (!(key in bseen)) { bseen[key] = 1; btotal[file]++ }
            if ($3 == "taken" && $4 > 0 && !(key in bran)) { bran[key] = 1; bhit[file]++ }
        }
        END {
            for (f in total) {
                l = 100 * hit[f] / total[f]
                printf "%6.1f %6.1f  %s\n", l, btotal[f] ? 100 * bhit[f] / btotal[f] : 100, f | "sort -n"
                L += total[f]; H += hit[f]; M += btotal[f]; N += bhit[f]
                if (l < 85) low++
            }
            close("sort -n")
            printf "lines %.1f %% of %d, branches %.1f %% of %d, %d files below 85 %%\n", 100 * H / L, L, 100 * N / M, M, low
            exit !(100 * H / L >= lines && 100 * N / M >= branches && !low)
        }'
}

if [ "${1:-}" != --table ]; then
    build
    rm -f "$out"/*.gcda
    # the best path first: what learns for a minute does so on that alone
    for path in $("$out/run" none | sed -n 's/.* of //p' | awk '{ for (i = NF; i > 0; i--) print $i }'); do
        "$out/run" --simd "$path" > "$out/$path.log" 2>&1 || { tail -n 20 "$out/$path.log"; exit 1; }
        VDI_TEST_EMULATED=1 VDI_TEST_SCALE=${VDI_TEST_SCALE:-0.05}
        export VDI_TEST_EMULATED VDI_TEST_SCALE
    done
fi
table
