# shellcheck shell=sh disable=SC2034,SC2154 # The words of the scripts that try the tool; read by them first.
#     VDI_TEST_STOP=1       end at the first failure
#     VDI_TEST_KILLS=N      kill -9 each fit at N moments, not 50
#     VDI_TEST_PATIENCE=N   N times as long for what has to be over in time: a sanitizer, a busy machine
set -u
here=$(cd "$(dirname "$0")" && pwd)
vdi=$(cd "$(dirname "${1:-./vdi}")" && pwd)/$(basename "${1:-./vdi}")
patience=${VDI_TEST_PATIENCE:-1}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 1
passed=0 failed=0
ok() { # ok WHAT STATUS
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
        return
    fi
    failed=$((failed + 1))
    echo "FAIL $1"
    [ -z "${VDI_TEST_STOP:-}" ] || exit 1
}
# exits WANTED NAME COMMAND...: the exit status is what the help promises, and a failure says one line that begins as it should
exits() {
    wanted=$1 name=$2
    shift 2
    "$@" > out.txt 2> err.txt
    code=$?
    said=$(head -c 400 err.txt) # not inside the next line: there some shells would replace $? by its own
    [ $code -eq "$wanted" ]
    ok "$name: exit $code, expected $wanted ($said)" $?
    if [ "$wanted" -eq 1 ] || [ "$wanted" -eq 2 ]; then
        [ "$(grep -vc '^vdi: warning: ' err.txt)" -eq 1 ] && grep -q '^vdi: error: ' err.txt
        ok "$name: one line 'vdi: error: ...', got: $said" $?
    fi
}
same() {
    cmp -s "$1" "$2"
    ok "$1 and $2 differ" $?
}
# what learns for seconds: steps N FEW, FEW under a sanitizer, where all that counts is memory; learns CHECK..., what needs all steps
steps() { [ -n "${VDI_TEST_SANITIZED:-}" ] && echo "$2" || echo "$1"; }
learns() { [ -n "${VDI_TEST_SANITIZED:-}" ] || "$@"; }
