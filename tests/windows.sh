#!/bin/sh
# The tool as Windows runs it, beside the one of this system: windows.sh "wine vdi.exe" vdi server.exe.
# Names that are not ASCII, pipes, a folder in use, Ctrl-C, files in parts, folders listed, another
# program. Prints "N passed, N failed".
set -u
here=$(pwd)
there=${1#* } runner=${1%% *}
case $there in /*) ;; *) there=$here/$there ;; esac
own=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
server=$(cd "$(dirname "$3")" && pwd)/$(basename "$3")
if command -v winepath > /dev/null; then server=$(winepath -w "$server"); fi # for a shell to which / begins an option
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 1
passed=0 failed=0
ok() {
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $1"
    fi
}
vdi() { "$runner" "$there" "$@"; }
exits() { # exits WANTED NAME ARGUMENTS...
    wanted=$1 name=$2
    shift 2
    vdi "$@" > out.txt 2> err.txt
    code=$?
    [ $code -eq "$wanted" ]
    ok "$name: exit $code, expected $wanted ($(head -n 1 err.txt))" $?
}
says() {
    grep -q -e "$1" err.txt
    ok "$2: $(head -n 1 err.txt)" $?
}
# A C library has its own exp and log, so numbers agree, not bits.
near() { # near NAME FILE FILE: bytes after the header, as float64
    for f in "$2" "$3"; do tail -c +129 "$f" | od -An -v -tf8 -w8; done > both.txt 2> /dev/null
    awk '{ x[NR] = $1 } END { n = NR / 2; for (i = 1; i <= n; i++) { d = x[i] - x[n + i]; a = x[i] < 0 ? -x[i] : x[i]
            if (!(d * d <= (1e-9 * (1 + a)) ^ 2)) bad++ } exit !(n >= 1 && n == int(n) && !bad) }' both.txt
    ok "$1: other numbers" $?
}

awk 'BEGIN { srand(3); for (t = 0; t < 400; t++) { a = .95 * a + rand() - .5; b = .9 * b - .2 * a + rand() - .5
    for (j = 0; j < 4; j++) printf "%s%s", j ? "," : "", rand() < .1 ? "nan" : a * (j + 1) - b * (3 - j) + rand() - .5; print "" } }' > y.csv
mkdir Übung && cp y.csv 'Übung/zeit-神経.csv'
exits 0 'info' info --json
grep -q '"version"' out.txt && ! grep -q "$(printf '\r')" out.txt
ok 'lines end as they do elsewhere' $?
grep -q '"cpu": *"..*"' out.txt && ! grep -q '"cpu": *"unknown"' out.txt
ok 'the processor has a name' $?

exits 0 'names in UTF-8' lds fit 'Übung/zeit-神経.csv' -d 2 --iters 20 --out 'Übung/é/神' --quiet
"$own" lds fit y.csv -d 2 --iters 20 --out own --quiet > /dev/null
near 'log likelihoods of the fit' own/trace.npy 'Übung/é/神/trace.npy'
[ ! -e 'Übung/é/神/.lock' ] && ! ls 'Übung/é/神' | grep -q part
ok 'nothing is left of lock and parts' $?
exits 0 'a run goes over what is there' lds fit y.csv -d 2 --iters 20 --out 'Übung/é/神' --quiet
exits 0 'run.json again' lds fit --from 'Übung\é\神\run.json' --out again --quiet
cmp -s again/trace.npy 'Übung/é/神/trace.npy'
ok 'the same bits from run.json, by a path of Windows' $?
vdi lds fit - -d 2 --iters 20 --out piped --quiet < y.csv > /dev/null
cmp -s piped/trace.npy again/trace.npy
ok 'the same bits from a pipe' $?
exits 1 'no such file' lds fit 'keine-Übung.csv' -d 2 --out e
says 'vdi: error: .*keine-Übung.csv' 'it is named'

# a folder in use, Ctrl-C, resumed
"$runner" "$there" lds fit y.csv -d 2 --iters 400000 --out long --quiet > /dev/null 2> long.txt &
pid=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do [ -e long/.lock ] && break; sleep 1; done
exits 1 'a folder in use' lds fit y.csv -d 2 --iters 2 --out long
says 'another run is writing' 'and why'
[ -e long/.lock ]
ok 'its lock is still there' $?
sleep 1
kill -INT $pid
wait $pid
[ $? -eq 130 ]
ok 'Ctrl-C exits with 130' $?
grep -q 'interrupted after' long.txt
ok "it says how to go on: $(head -n 1 long.txt)" $?
exits 0 'and it goes on' lds fit --resume long --iters "$(($(sed -n 's/.*after \([0-9]*\) of.*/\1/p' long.txt) + 5))" --quiet

# files in parts, which the other system's tool reads
exits 0 'traces' spikes simulate --model linear --cells 1 --traces 3 --frames 600 --fps 30 --out cells --quiet
exits 0 'spikes' spikes infer cells/traces.npy --fps 30 --out spikes --quiet --report 2
"$own" spikes infer cells/traces.npy --fps 30 --out own-spikes --quiet --report 0 > /dev/null
near 'spikes' own-spikes/spikes.npy spikes/spikes.npy
grep -q '</html>' spikes/report.html
ok 'a report' $?

# folders that are listed
"$own" lds sample --params own --trials 6 --bins 60 --out sampled --quiet > /dev/null
for i in 1 2; do exits 0 "shard $i" lds cv sampled/y.npy -d 1,2 --folds 2 --shard $i/2 --out cv$i --quiet --iters 5; done
exits 0 'merge' merge cv1 cv2 --out cv --quiet
"$own" lds cv sampled/y.npy -d 1,2 --folds 2 --out own-cv --quiet --iters 5 > /dev/null
cmp -s cv/cv.csv own-cv/cv.csv || [ "$(wc -l < cv/cv.csv)" = "$(wc -l < own-cv/cv.csv)" ]
ok 'as many jobs' $?

# another program at the end of two pipes
exits 0 'a simulator' sacd train --env-cmd "$server" --hidden 8,8 --batch 8 --start 20 --steps 250 --out agent --quiet
"$own" sacd train --env pendulum --hidden 8,8 --batch 8 --start 20 --steps 250 --out own-agent --quiet > /dev/null
[ "$(wc -l < agent/log.csv)" = "$(wc -l < own-agent/log.csv)" ]
ok 'it plays as many episodes' $?
exits 1 'one that hangs' sacd train --env-cmd "$server 30" --env-timeout 1 --hidden 8,8 --batch 8 --start 20 --steps 250 --out hung --quiet
says 'gave none within 1 s' 'it is told'
exits 1 'no such program' sacd train --env-cmd 'no-such-simulator' --steps 250 --out none --quiet
says 'ended with exit status' 'its end is told'

echo "windows: $passed passed, $failed failed"
[ $failed -eq 0 ]
