#!/bin/sh
# Runs Criterion suites and does not take their word for it.
#     suites.sh FOLDER SUITE...             run FOLDER/SUITE for each
#     suites.sh --counts FOLDER SUITE...    print how many tests each has, for tests/counts
# Criterion exits with 0 when nothing was run, when memory leaked, and when valgrind or a sanitizer complained outside an assertion.
# So a suite has passed only if it also ran (or skipped) at least as many tests as tests/counts says, and the sanitizers wrote no
# report. Ends with the line "N passed, N failed, N skipped".
set -u
export LC_ALL=C

if [ "$1" = --counts ]; then
    folder=$2
    shift 2
    for suite in "$@"; do
        count=$("$folder/$suite" --list | awk '/^[A-Za-z0-9_]+: [0-9]+ test/ { n += $2 } END { print n + 0 }')
        [ "$count" -gt 0 ] || { echo "$suite lists no test" >&2; exit 1; }
        echo "$suite $count"
    done
    exit 0
fi

folder=$1
shift
passed=0 failed=0 skipped=0
for suite in "$@"; do
    log=$folder/$suite.log
    reports=$folder/$suite.report
    rm -f "$log" "$reports".*
    ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}log_path=$reports UBSAN_OPTIONS=print_stacktrace=1:log_path=$reports \
        "$folder/$suite" --verbose=1 --color=never > "$log" 2>&1
    rc=$?
    # [====] Synthesis: Tested: 11 | Passing: 8 | Failing: 3 | Crashing: 1
    counts=$(awk '/Synthesis: Tested:/ { print $4, $7, $10 }' "$log" | tr -dc '0-9 ')
    tested=$(echo "$counts" | awk '{ print $1 + 0 }')
    good=$(echo "$counts" | awk '{ print $2 + 0 }')
    bad=$(echo "$counts" | awk '{ print $3 + 0 }')
    skips=$(grep -c '^\[SKIP\]' "$log")
    wanted=$(awk -v s="$suite" '$1 == s { print $2 }' tests/counts)
    complaint=
    if [ "$rc" != 0 ] && [ "$bad" = 0 ]; then complaint="it exited with $rc"; fi
    if [ -z "$wanted" ]; then complaint="tests/counts does not name it (run: make counts)"
    elif [ $((tested + skips)) -lt "$wanted" ]; then complaint="$tested tests ran and $skips were skipped, tests/counts wants $wanted"; fi
    for report in "$reports".*; do
        [ -s "$report" ] && complaint="a sanitizer reported: $(sed -n '/ERROR\|runtime error/{p;q;}' "$report") (whole report: $report)"
    done
    echo "-- $suite"
    grep -v '^\[RUN \]\|^\[PASS\]\|^\[====\] Running\|^\[----\] Criterion' "$log"
    if [ -n "$complaint" ]; then
        echo "FAIL $suite: $complaint"
        bad=$((bad + 1))
    fi
    passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + skips))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ $((passed + skipped)) -gt 0 ]
