#!/bin/sh
# Fuzzes the loaders, and figures, with libFuzzer, AddressSanitizer and UBSan: run.sh [SECONDS] [TARGET...]
# From the root of the tree; needs clang. Builds and corpora are kept in build/fuzz (or $B/fuzz), so that a later run goes on.
set -eu
seconds=${1:-60}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- npy npz json csv safetensors mat figure
out=${B:-build}/fuzz
cc="${CLANG:-clang} -std=gnu11 -g -O1 -DVDI_TEST_PORTABLE -Iinclude/vdi -Wno-unused-function"
for loader in npy npz json csv safetensors mat figure; do mkdir -p "$out/corpus/$loader"; done
$cc -DVDI_STATIC -DVDI_IO_IMPLEMENTATION tests/fuzz/seeds.c -o "$out/seeds" -lm -lpthread
"$out/seeds" "$out/corpus"
for loader in "$@"; do
    $cc -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all "tests/fuzz/$loader.c" -o "$out/$loader" -lm -lpthread
    echo "-- $loader"
    "$out/$loader" -max_total_time="$seconds" -max_len=4096 -print_final_stats=1 -artifact_prefix="$out/$loader-" "$out/corpus/$loader" \
        > "$out/$loader.log" 2>&1 || { tail -n 40 "$out/$loader.log"; exit 1; }
    grep -E 'stat::number_of_executed_units|DONE' "$out/$loader.log"
done
