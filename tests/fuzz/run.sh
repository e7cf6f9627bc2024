#!/bin/sh
# Fuzzes loaders, models, the wire, figures, and numbers, with libFuzzer, AddressSanitizer and UBSan:
#     run.sh [SECONDS] [TARGET...]    each for so long (default 60); needs clang. Builds and what was found
#                                     are kept in build/fuzz (or $B/fuzz), so that a later run goes on
#     run.sh NUMBERx [TARGET...]      each for so many executions, as 1000000x
#     run.sh --replay [TARGET...]     each over its files in tests/fuzz/corpus, with any compiler (make test)
#     run.sh --seeds                  write the valid files of tests/fuzz/corpus anew
# From the root of the tree. An input that broke something goes into tests/fuzz/corpus once it is mended.
set -eu
export LC_ALL=C
targets="npy npz json csv safetensors mat figure wire model numbers run_json"
out=${B:-build}/fuzz corpus=tests/fuzz/corpus
flags="-std=gnu11 -DVDI_TEST_PORTABLE -DVDI_NO_SIMD -Iinclude/vdi -I."
mode=${1:-60}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- $targets
mkdir -p "$out"

case $mode in
--seeds)
    for target in $targets; do mkdir -p "$corpus/$target"; done
    ${CC:-cc} $flags -w -DVDI_STATIC -DVDI_IMPLEMENTATION tests/fuzz/seeds.c -o "$out/seeds" -lm -lpthread
    "$out/seeds" "$corpus" ;;
--replay)
    files=0
    for target in "$@"; do
        ${CC:-cc} $flags -w -O0 "tests/fuzz/$target.c" tests/fuzz/replay.c -o "$out/replay-$target" -lm -lpthread
        "$out/replay-$target" "$corpus/$target"/* > "$out/replay.log" 2>&1 || { tail -n 3 "$out/replay.log"; echo "FAIL $target"; exit 1; }
        files=$((files + $(wc -l < "$out/replay.log")))
    done
    echo "$files files of tests/fuzz/corpus through $# targets" ;;
*)
    case $mode in
    *x) limit="-runs=${mode%x}" ;;
    *) limit="-max_total_time=$mode" ;;
    esac
    # -O2, short inputs and a small quarantine of freed memory: what counts is executions in a second
    export ASAN_OPTIONS="quarantine_size_mb=1:malloc_context_size=2"
    for target in "$@"; do
        mkdir -p "$out/corpus/$target"
        case $target in model) longest=4096 ;; *) longest=1024 ;; esac
        ${CLANG:-clang} $flags -g1 -O2 -Wno-unused-function -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
            "tests/fuzz/$target.c" -o "$out/$target" -lm -lpthread
        echo "-- $target"
        "$out/$target" $limit -max_len=$longest -print_final_stats=1 -artifact_prefix="$out/$target-" \
            "$out/corpus/$target" "$corpus/$target" > "$out/$target.log" 2>&1 || { tail -n 40 "$out/$target.log"; exit 1; }
        grep -E 'stat::number_of_executed_units|DONE' "$out/$target.log"
    done ;;
esac
