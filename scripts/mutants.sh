#!/bin/sh
# Would the tests notice? One token of the library is changed, the tests run, and they should fail.
#     mutants.sh            NUMBER mutants (default 200), one after the other; goes on where it was stopped
#     mutants.sh --list     which they are: number, area, file, line, column, before, after
#     mutants.sh --again    those that survived, once more (with tests that are new)
#     mutants.sh --report   what is known so far
# SEED (default 1) chooses them; AREAS limits a run to some. A mutant that changes no code of the scalar pass is
# replaced by the next.
# The cheap pass compiles with tcc (in a tenth of a second; without it gcc -O1), scalar alone. gcov has told once
# which tests run which line; those that run the mutated one are tried, the short ones first, until they have taken
# BUDGET seconds. It does a fiftieth of their repetitions and leaves out what an emulator leaves out. A mutant in a
# line that no test runs has survived. Of the tool's scripts it runs those that look at values.
# With THOROUGH=1 those that survived meet these tests and all suites of the area, for twenty times BUDGET, compiled
# by gcc for AVX2 with AddressSanitizer; those of the tool meet all of its scripts.
# A test may take five times the processor time that it takes unchanged, and five seconds more.
# Results: build/mutants/results.
set -u
export LC_ALL=C
CC=${CC:-gcc} B=${B:-build} NUMBER=${NUMBER:-200} SEED=${SEED:-1}
BUDGET=${BUDGET:-2}
AREAS=${AREAS:-kernel linalg grad model io tool}
out=$B/mutants
mkdir -p "$out"

# of 100
share() { echo "kernel 20 linalg 15 grad 20 model 25 io 12 tool 8"; }

files() { # files AREA: what is compiled in the scalar pass
    case $1 in
    tool) ls examples/vdi/*.c | grep -v '/demo\|/help\.c\|_pictures\.c' ;;
    *) find include/vdi/"$1" -name '*.h' | grep -v '/simd_[^s]\|/simd_sse2\|/simd_support\|/weights\.h\|/pass\.h\|/table\.h' | sort ;;
    esac
}

# suites PATH: those that were written for it; tried where gcov tells nothing, and in the thorough pass
suites() {
    case $1 in
    */kernel/*) echo "elementwise reduce gemm conv rnn optim dense blocktri ops layers same calcium score score_spikes oasis" ;;
    */linalg/*) echo "dense blocktri ops gradcheck score lds" ;;
    */grad/*) echo "tape ops layers gradcheck optim conv rnn dense explain critic vilds_parts descs" ;;
    */io/*) echo "array csv json mat npy npz safetensors svg html text locale" ;;
    */calcium/*) echo "calcium gradcheck deepspike pretrained descs" ;;
    */deepspike/*) echo "deepspike pretrained descs" ;;
    */env/*) echo "env explain sacd descs" ;;
    */model/lds/*) echo "lds plds descs" ;;
    */oasis/*) echo "oasis descs" ;;
    */plds/*) echo "plds descs" ;;
    */pretrained/*) echo "pretrained descs" ;;
    */sacd/*) echo "replay explain critic sacd descs" ;;
    */score/*) echo "score score_spikes descs" ;;
    */vilds/*) echo "observation flds vilds_parts vilds descs" ;;
    esac
}

# Every token that can be changed, with a number that SEED draws: key area file line column before after
candidates() {
    for area in kernel linalg grad model io tool; do
        awk -v area=$area -v seed="$SEED" '
            BEGIN {
                n = split("< <= > >= == != && || + - * / += -= true false", from, " ")
                split("<= < >= > != == || && - + / * -= += false true", to, " ")
                for (i = 1; i <= n; i++) other[from[i]] = to[i]
                for (i = 32; i < 127; i++) code[sprintf("%c", i)] = i
            }
            function draw(text,   h, i) { # a hash that is the same in every awk
                h = 7 + seed * 7919
                for (i = 1; i <= length(text); i++) h = (h * 31 + code[substr(text, i, 1)]) % 16777213
                for (i = 0; i < 4; i++) h = (h * 69 + 12345) % 16777213
                return h
            }
            function offer(column, before, after) {
                printf "%08d %s %s %d %d %s %s\n", draw(FILENAME ":" FNR ":" column), area, FILENAME, FNR, column, before, after
            }
            FNR == 1 { comment = body = skip = 0 }
            /\\$/ || /^ *#/ { next } # macros: one mutant would be many
            {
                line = $0
                sub(/\/\/.*/, "", line)
                for (c = 1; c <= length(line); c++) {
                    two = substr(line, c, 2); one = substr(line, c, 1)
                    if (comment) { if (two == "*/") { comment = 0; c++ } continue }
                    if (two == "/*") { comment = 1; c++; continue }
                    if (one == "\"" || one == "\047") {
                        for (c++; c <= length(line) && substr(line, c, 1) != one; c++) if (substr(line, c, 1) == "\\") c++
                        continue
                    }
                    if (one == " ") { # a token between spaces
                        rest = substr(line, c + 1); sub(/ .*/, "", rest)
                        if (rest in other && substr(line, c + 1 + length(rest), 1) == " ") offer(c + 1, rest, other[rest])
                    }
                    if (one ~ /[01]/ && substr(line, c + 1, 1) !~ /[0-9a-zA-Z_.]/ && substr(line, c - 1, 1) !~ /[0-9a-zA-Z_.]/ && FNR > 20)
                        offer(c, one, 1 - one)
                    if (two ~ /^[tf]/ && match(substr(line, c), /^(true|false)[;,)]/) && substr(line, c - 1, 1) !~ /[a-zA-Z_]/) {
                        word = substr(line, c, RLENGTH - 1); offer(c, word, other[word])
                    }
                }
            }' $(files $area)
    done | sort
}

# areas take turns by their share
chosen() {
    candidates | awk -v number="$NUMBER" -v share="$(share)" '
        BEGIN { n = split(share, s, " "); for (i = 1; i < n; i += 2) want[s[i]] = s[i + 1] * number / 100 }
        { count[$2]++; print int(count[$2] > want[$2]), $0 }' | sort -s -k1,1n | awk '{ $1 = $2 = ""; sub(/^ +/, ""); print NR, $0 }'
}

mutate() { # mutate FILE LINE COLUMN BEFORE AFTER
    awk -v l="$2" -v c="$3" -v b="$4" -v a="$5" '
        NR == l { found = substr($0, c, length(b)) == b; $0 = substr($0, 1, c - 1) a substr($0, c + length(b)) }
        { print }
        END { exit !found }' "$1" || { echo "$1:$2:$3 is not '$4': the code has changed since; begin with an empty $out" >&2; exit 1; }
}

if command -v tcc > /dev/null && tcc_runtime=$(find /usr/lib /usr/local/lib -name libtcc1.a 2> /dev/null | head -n 1) && [ -n "$tcc_runtime" ]; then
    cheap() { tcc -w -std=c11 -I"$1" -c tests/vdi_impl.c -o "$2"; }
else
    tcc_runtime=
    cheap() { $CC -w -std=c11 -O1 -DVDI_NO_SIMD -I"$1" -c tests/vdi_impl.c -o "$2"; }
fi
thorough() { $CC -w -std=c11 -O1 -fsanitize=address -DVDI_NO_SSE2 -DVDI_NO_AVX512 -I"$1" -c tests/vdi_impl.c -o "$2"; }

prepare() { # test objects and the unchanged library, once
    mkdir -p "$out/o" "$out/limits"
    for source in tests/*.c tests/portable/main.c; do
        object=$out/o/$(basename "$source" .c).o
        case $source in */vdi_impl.c) continue ;; esac
        if [ ! -f "$object" ] || [ -n "$(find "$source" -newer "$object")" ]; then
            $CC -w -std=gnu11 -O1 -DVDI_TEST_PORTABLE -Iinclude/vdi -c "$source" -o "$object" || exit 1
        fi
    done
    cheap include/vdi "$out/plain.o" || exit 1
    link "$out/plain.o" "$out/plain" || exit 1
    kind=plain
    if [ "${THOROUGH:-0}" = 1 ]; then
        kind=thorough
        thorough include/vdi "$out/thorough.o" && link "$out/thorough.o" "$out/thorough" || exit 1
    fi
    # code by tcc leaves floating-point exceptions of its own
    "$out/plain" --list | grep -v '^elementwise/exceptions' > "$out/tests"
    map
}
link() {
    case ${kind:-plain} in
    thorough) $CC -z noexecstack -fsanitize=address "$out"/o/*.o "$1" -o "$2" -lm -lpthread 2> /dev/null ;;
    *) $CC -z noexecstack "$out"/o/*.o "$1" $tcc_runtime -o "$2" -lm -lpthread 2> /dev/null ;;
    esac
}

# map: for each test the lines of the scalar pass that it runs, and its time; $out/lines: those that have code
map() {
    find include/vdi -name '*.h' -exec cat {} + | cksum > "$out/now"
    command -v gcov > /dev/null || { echo "mutants.sh needs gcov of $CC" >&2; exit 1; }
    if ! cmp -s "$out/now" "$out/of"; then
        rm -rf "$out/map" "$out/coverage" "$out/lines"
        mkdir -p "$out/map" "$out/coverage"
        $CC -w -std=c11 -O1 --coverage -DVDI_NO_SIMD -Iinclude/vdi -c tests/vdi_impl.c -o "$out/coverage/impl.o" || exit 1
        cp "$out/now" "$out/of"
    fi
    $CC --coverage "$out"/o/*.o "$out/coverage/impl.o" -o "$out/coverage/program" -lm -lpthread || exit 1
    while read -r test; do
        suite=${test%/*} map=$out/map/${test%/*}.${test#*/}
        [ ! -f "$map" ] || [ -n "$(find "tests/$suite.c" -newer "$map" 2> /dev/null)" ] || continue
        lines=
        [ -f "$out/lines" ] || lines=$out/lines # all have the same
        rm -f "$out/coverage/impl.gcda"
        (VDI_TEST_EMULATED=1 "$out/coverage/program" "$test" > "$out/log" 2>&1 || echo failed; times) < /dev/null > "$out/took"
        if grep -q failed "$out/took" || [ ! -f "$out/coverage/impl.gcda" ]; then
            echo "$test fails with the library as it is: $(tail -n 3 "$out/log")" >&2
            exit 1
        fi
        gcov -t "$out/coverage/impl.gcda" 2> /dev/null | awk -v lines="$lines" '
            { split($0, part, ":"); count = part[1]; number = part[2] + 0; gsub(/ /, "", count) }
            number == 0 && part[3] == "Source" { file = part[4]; sub(/linalg\/\.\.\/kernel\/\.\.\//, "", file); next }
            lines && number && count != "-" { print file ":" number > lines }
            number && count ~ /^[1-9]/ { print file ":" number }' | sort -u > "$map.new"
        { awk 'END { split($1, t, /[ms]/); print "time " int(1000 * (60 * t[1] + t[2])) }' "$out/took"; cat "$map.new"; } > "$map"
        rm -f "$map.new"
    done < "$out/tests"
    [ -s "$out/lines" ] || { echo "gcov tells no lines of what $CC compiles" >&2; exit 1; }
}

# tests_of FILE LINE: those that run it, the short ones first; a token on a line that continues belongs to the line before
tests_of() {
    at=$(awk -v file="$1" -v line="$2" '
        FNR == NR { if (index($0, file ":") == 1) code[substr($0, length(file) + 2)] = 1; next }
        FNR <= line && /^[^ ]/ { last = 0 } # another function begins, or none
        FNR <= line && FNR in code { last = FNR }
        END { print last + 0 }' "$out/lines" "$1")
    if [ "$at" = 0 ]; then
        for suite in $(suites "$1"); do ls "$out/map/$suite".*; done
    else
        grep -lxF "$1:$at" "$out"/map/*
        [ $kind = plain ] || for suite in $(suites "$1"); do ls "$out/map/$suite".*; done
    fi | sort -u | while read -r map; do
        echo "$(sed -n 's/^time //p;q' "$map") $(basename "$map" | sed 's/\./\//')"
    done | sort -n | awk -v budget="$BUDGET" -v kind=$kind '
        { sum += $1; if (NR > 1 && sum > 1000 * budget * (kind == "plain" ? 1 : 20)) exit; print $2 }'
}

# limited TEST SECONDS PROGRAM: that test, for so much time of a processor
# shellcheck disable=SC3045 # dash, bash, ksh and busybox have it
limited() { (ulimit -t "$2"; exec "$3" "$1") > "$out/log" 2>&1; }

# How long a test may take. The library as it is sets it, and has to pass: nothing else proves that it was the mutant that failed.
limit_of() {
    limit=$out/limits/$kind-$(echo "$1" | tr / .)
    if [ ! -s "$limit" ]; then
        took=$( (limited "$1" 3600 "$out/$kind" || echo failed; times) | awk '/failed/ { print; exit } END { split($1, t, /[ms]/); print int(5 * (60 * t[1] + t[2])) + 5 }')
        [ "${took#failed}" = "$took" ] || { echo "$1 fails with the library as it is: $(tail -n 3 "$out/log")" >&2; exit 1; }
        echo "$took" > "$limit"
    fi
}

judge() { # judge PROGRAM FILE LINE: the test that fails, or "survived"
    for test in $(tests_of "$2" "$3"); do
        limit_of "$test"
        limited "$test" "$(cat "$limit")" "$1" || { echo "killed $test"; return; }
    done
    echo survived
}

# Which scripts try a file of the tool: in the cheap pass those that look at values, in the thorough one all. Each
# ends at its first failure; their clocks have patience.
scripts() {
    case $1 in
    *sacd* | */inspect*.c | */pipe.c | */environment.c) tried="tool_values sacd" ;;
    *) tried=tool_values ;;
    esac
    [ "${THOROUGH:-0}" != 1 ] || tried="$tried tool"
    echo "$tried"
}

tool_object() { $CC -w -std=gnu11 -O1 -I. -I"$B/tool" -c "$1" -o "$2"; }
tool_passes() { # tool_passes SCRIPT PROGRAM
    VDI_TEST_STOP=1 VDI_TEST_PATIENCE=20 timeout 7200 sh "tests/$1.sh" "$2" > "$out/log" 2>&1
}

# The tool as it is, once: it has to pass, too.
tool_prepare() {
    mkdir -p "$out/tool"
    for source in examples/vdi/*.c; do
        object=$out/tool/$(basename "$source" .c).o
        [ ! -f "$object" ] || [ -n "$(find "$source" -newer "$object")" ] || continue
        case $source in
        */vdi.c) $CC -w -std=gnu11 -O1 -DVDI_NO_SSE2 -DVDI_NO_AVX512 -I. -c "$source" -o "$object" || exit 1 ;;
        *) tool_object "$source" "$object" || exit 1 ;;
        esac
        rm -f "$out"/limits/tool-*
    done
    $CC "$out"/tool/*.o -o "$out/tool_as_it_is" -lm -lpthread || exit 1
    for script in $(scripts "$1"); do
        [ ! -f "$out/limits/tool-$script" ] || [ -n "$(find "tests/$script.sh" -newer "$out/limits/tool-$script")" ] || continue
        tool_passes "$script" "$out/tool_as_it_is" || { echo "$script.sh fails with the tool as it is: $(tail -n 3 "$out/log")" >&2; exit 1; }
        touch "$out/limits/tool-$script"
    done
}

tool() { # tool FILE MUTATED: compiles one file of the tool anew, and tries it
    tool_prepare "$1"
    # under one name, which is in the object
    cp "$1" examples/vdi/.mutant.c
    tool_object examples/vdi/.mutant.c "$out/unchanged.o"
    cp "$2" examples/vdi/.mutant.c
    tool_object examples/vdi/.mutant.c "$out/changed.o"
    built=$?
    rm -f examples/vdi/.mutant.c
    if [ $built != 0 ] || cmp -s "$out/changed.o" "$out/unchanged.o"; then echo none; return; fi
    # shellcheck disable=SC2046
    $CC "$out/changed.o" $(ls "$out"/tool/*.o | grep -v "/$(basename "$1" .c)\.o") -o "$out/vdi" -lm -lpthread || { echo none; return; }
    for script in $(scripts "$1"); do
        tool_passes "$script" "$out/vdi" || { echo "killed $script.sh"; return; }
    done
    echo survived
}

one() { # one AREA FILE LINE COLUMN BEFORE AFTER: its verdict
    mutate "$2" "$3" "$4" "$5" "$6" > "$out/mutated" || exit 1
    if [ "$1" = tool ]; then tool "$2" "$out/mutated"; return; fi
    rm -rf "$out/tree"
    cp -r include/vdi "$out/tree"
    cp "$out/mutated" "$out/tree/${2#include/vdi/}"
    if [ "${THOROUGH:-0}" = 1 ]; then
        thorough "$out/tree" "$out/mutant.o" > "$out/log" 2>&1 || { echo none; return; }
    else
        cheap "$out/tree" "$out/mutant.o" > "$out/log" 2>&1 || { echo none; return; }
        if cmp -s "$out/mutant.o" "$out/plain.o"; then echo none; return; fi
    fi
    link "$out/mutant.o" "$out/mutant" || { echo none; return; }
    judge "$out/mutant" "$2" "$3"
}

report() {
    awk '{ last[$1] = $0 } END { for (i in last) print last[i] }' "$out/results" | sort -n | awk '
        $8 == "none" { next }
        { n[$2]++; all++ }
        $8 == "killed" { k[$2]++; killed++ }
        $8 == "survived" { text[++s] = sprintf("survived %s: %s:%d:%d: %s became %s", $1, $3, $4, $5, $6, $7) }
        END {
            for (i = 1; i <= s; i++) print text[i]
            for (a in n) printf "%s %d of %d; ", a, k[a], n[a]
            printf "all: %d of %d killed (%.0f %%)\n", killed, all, all ? 100 * killed / all : 0
        }'
}

case ${1:-} in
--list) chosen | head -n "$NUMBER"; exit ;;
--report) report; exit ;;
esac
touch "$out/results"
VDI_TEST_SCALE=${VDI_TEST_SCALE:-0.02}
export VDI_TEST_SCALE
if [ "${THOROUGH:-0}" != 1 ]; then
    VDI_TEST_EMULATED=1
    export VDI_TEST_EMULATED
fi
[ "$AREAS" = tool ] || prepare
again=0
if [ "${1:-}" = --again ] || [ "${THOROUGH:-0}" = 1 ]; then
    again=1
    awk '{ last[$1] = $0 } END { for (i in last) if (last[i] ~ / survived$/) print last[i] }' "$out/results" | sort -n > "$out/queue"
else
    [ -s "$out/queue.$SEED.$NUMBER" ] || chosen > "$out/queue.$SEED.$NUMBER"
    cp "$out/queue.$SEED.$NUMBER" "$out/queue"
fi
while read -r id area file line column before after _; do
    if [ $again = 0 ]; then
        [ "$(awk '$8 != "none" { n[$1] } END { print length(n) }' "$out/results")" -lt "$NUMBER" ] || break
        if grep -q "^$id " "$out/results"; then continue; fi
    fi
    case " $AREAS " in *" $area "*) ;; *) continue ;; esac
    # without a second process there would be no way to keep the terminal from the tests
    verdict=$(one "$area" "$file" "$line" "$column" "$before" "$after" < /dev/null) || exit 1
    echo "$id $area $file $line $column $before $after $verdict" | tee -a "$out/results"
done < "$out/queue"
report
