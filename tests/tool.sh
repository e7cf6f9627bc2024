#!/bin/sh
# The command-line tool as a stranger uses it: tool.sh [./vdi]. Prints "N passed, N failed"; needs nothing but the tool, awk and a shell.
set -u
vdi=$(cd "$(dirname "${1:-./vdi}")" && pwd)/$(basename "${1:-./vdi}")
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 1
passed=0 failed=0
ok() { if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $1"; fi; }
# exits WANTED NAME COMMAND...: the exit status is what the help promises, and a failure says one line that begins as it should
exits() {
    wanted=$1 name=$2
    shift 2
    "$@" >out.txt 2>err.txt
    code=$?
    [ $code -eq "$wanted" ]
    ok "$name: exit $code, expected $wanted ($(head -c 200 err.txt))" $?
    if [ "$wanted" -eq 1 ] || [ "$wanted" -eq 2 ]; then
        [ "$(wc -l <err.txt)" -eq 1 ] && grep -q '^vdi: error: ' err.txt
        ok "$name: one line 'vdi: error: ...', got: $(cat err.txt)" $?
    fi
}
same() { cmp -s "$1" "$2"; ok "$1 and $2 differ" $?; }

exits 0 version "$vdi" --version
exits 0 help "$vdi" --help
for c in info demo blocktri 'lds smooth' 'lds fit' 'lds score'; do
    exits 0 "help of $c" "$vdi" $c --help
    grep -q '^example:' out.txt
    ok "help of $c has an example" $?
done
exits 2 'no such family' "$vdi" nothing
exits 2 'no such verb' "$vdi" lds nothing
exits 2 'no verb' "$vdi" lds
exits 2 'no such option' "$vdi" info --nothing
exits 2 'no value' "$vdi" info --seed
exits 2 'not a number' "$vdi" info --seed two
exits 2 'no such path' "$vdi" info --simd mmx
exits 0 info "$vdi" info --json
grep -q '"simd": *"' out.txt && grep -q '"version"' out.txt && grep -q '"cpu"' out.txt && grep -q '"threads"' out.txt
ok 'info --json has its keys' $?
exits 0 'scalar path' "$vdi" info --simd scalar --json
grep -q '"simd": *"scalar"' out.txt
ok 'the path asked for is the path used' $?

# two latents behind four channels, a tenth of the values missing
awk 'BEGIN { srand(3); for (t = 0; t < 400; t++) { a = .95 * a + rand() - .5; b = .9 * b - .2 * a + rand() - .5
    for (j = 0; j < 4; j++) printf "%s%s", j ? "," : "", rand() < .1 ? "nan" : a * (j + 1) - b * (3 - j) + rand() - .5; print "" } }' >y.csv
exits 0 fit "$vdi" lds fit y.csv -d 2 --iters 200 --out a --json
[ "$(wc -l <out.txt)" -eq 1 ] && grep -q '"log_likelihood": *-' out.txt
ok 'fit --json prints one object on one line' $?
for f in A C Q R b x0 Q0 trace; do [ -s a/$f.npy ]; ok "fit wrote $f.npy" $?; done
[ -s a/latents.svg ] && [ -s a/run.json ]
ok 'fit wrote its picture and run.json' $?
exits 0 'repeat from run.json' "$vdi" lds fit --from a/run.json --out b --json
same a/trace.npy b/trace.npy
exits 0 'repeat, command from the file too' "$vdi" --from a/run.json --out c --quiet
same a/C.npy c/C.npy
exits 0 'two threads' "$vdi" lds fit y.csv -d 2 --iters 200 --threads 2 --out d --quiet
same a/trace.npy d/trace.npy
exits 0 smooth "$vdi" lds smooth y.csv --params a --out s --json
for f in mp Pp mf Pf ms Ps Pc ll; do [ -s s/$f.npy ]; ok "smooth wrote $f.npy" $?; done
exits 0 score "$vdi" lds score y.csv --params a --json
grep -q '"per_bin"' out.txt && grep -q '"bins": *400' out.txt
ok 'score has its keys' $?

# interrupted at a moment of its own choosing, then resumed: the bits of a run that was left alone
n=3000
while :; do
    rm -rf i
    "$vdi" lds fit y.csv -d 2 --iters $n --out i --quiet >out.txt 2>err.txt &
    pid=$!
    sleep 0.3
    kill -INT $pid 2>/dev/null
    wait $pid
    code=$?
    [ $code -ne 0 ] || [ $n -gt 1000000 ] && break
    n=$((n * 4)) # it was done before the signal came
done
[ $code -eq 130 ]
ok "an interrupt exits with 130, got $code" $?
exits 0 resume "$vdi" lds fit --resume i --quiet
exits 0 'the same, uninterrupted' "$vdi" lds fit y.csv -d 2 --iters $n --out u --quiet
for f in A C Q R b x0 Q0 trace; do same i/$f.npy u/$f.npy; done

exits 1 'no such file' "$vdi" lds fit nothing.npy -d 2 --out e
printf 'not an array' >bad.npy
exits 1 'no array' "$vdi" lds fit bad.npy -d 2 --out e
head -c 100 a/C.npy >cut.npy
exits 1 'a truncated array' "$vdi" lds score cut.npy --params a
grep -q cut.npy err.txt
ok 'the message names the file' $?
exits 1 'a channel too many' "$vdi" lds score a/A.npy --params a
exits 2 'no folder for the results' "$vdi" lds fit y.csv -d 2
exits 2 'neither start' "$vdi" lds fit y.csv --out e
exits 1 'a folder that is a file' "$vdi" lds fit y.csv -d 2 --out y.csv
printf '1,2\n3\n' >ragged.csv
exits 1 'a ragged table' "$vdi" lds fit ragged.csv -d 1 --out e
exits 0 demo "$vdi" demo --quick --out page --quiet
[ -s page/index.html ]
ok 'demo wrote its page' $?
echo "tool: $passed passed, $failed failed"
[ $failed -eq 0 ]
