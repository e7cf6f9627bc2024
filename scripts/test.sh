#!/bin/sh
# `make test`: the Criterion suites; where Criterion is missing it is installed if that is allowed, else the portable suite runs.
set -eu
MAKE=${MAKE:-make} CC=${CC:-cc} B=${B:-build}

have_criterion() {
    probe=$(mktemp)
    printf '#include <criterion/criterion.h>\nTest(a, b) { cr_expect(1); }\n' |
        $CC -x c - -o "$probe" -lcriterion > /dev/null 2>&1 && status=0 || status=1
    rm -f "$probe"
    return $status
}

echo "-- what was once fuzzed"
B=$B CC=$CC sh tests/fuzz/run.sh --replay

if ! have_criterion; then
    echo "Criterion, the test framework, is not here."
    sh scripts/packages.sh install test || true
fi
if have_criterion; then
    exec $MAKE --no-print-directory suites B="$B"
fi
echo "So the portable suite runs, which needs a C compiler alone; the Criterion suites follow once this was done:"
echo "    apt-get install $(sh scripts/packages.sh list test)"
exec $MAKE --no-print-directory portable B="$B" ARGS="--at-least $(awk '$1 == "portable" { print $2 }' tests/counts)"
