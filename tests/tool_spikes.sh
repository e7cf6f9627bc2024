# shellcheck shell=sh disable=SC2154,SC3045 # The spikes verbs on what labs record; read by tool.sh, whose words it uses.

# bytes SHAPE ORDER: a .npy header of bytes, C order unless ORDER is True; the data follow as printable characters
bytes() { printf '\223NUMPY\001\000v\000%-117s\n' "{'descr': '|u1', 'fortran_order': ${2:-False}, 'shape': $1, }"; }
# three cells of 400 frames, as (neurons,frames), (frames,neurons), Fortran order, and tables with and without a clock
awk 'BEGIN { srand(3); for (t = 0; t < 400; t++) for (i = 0; i < 3; i++) {
    c[i] = .9 * c[i] + (rand() < .03 ? 30 : 0); v = 40 + int(c[i] + 4 * rand()); y[i, t] = v > 126 ? 126 : v }
    for (i = 0; i < 3; i++) for (t = 0; t < 400; t++) printf "%c", y[i, t] >"rows.bin"
    for (t = 0; t < 400; t++) for (i = 0; i < 3; i++) printf "%c", y[i, t] >"columns.bin"
    print "a,b,c" >"cells.csv"; for (t = 0; t < 400; t++) print y[0, t] "," y[1, t] "," y[2, t] >"cells.csv"
    for (t = 0; t < 400; t++) print t / 30 "\t" y[0, t] "\t" y[1, t] "\t" y[2, t] >"clock.tsv" }'
{ bytes '(3, 400)' && cat rows.bin; } >rows.npy
{ bytes '(400, 3)' && cat columns.bin; } >columns.npy
{ bytes '(3, 400)' True && cat columns.bin; } >fortran.npy
{ bytes '(3, 4, 100)' && cat rows.bin; } >trials.npy
exits 0 'cells in rows' "$vdi" spikes infer rows.npy --fps 30 --out in-rows --quiet
exits 0 'cells in columns' "$vdi" spikes infer columns.npy --fps 30 --transpose --out in-columns --quiet
exits 0 'cells in Fortran order' "$vdi" spikes infer fortran.npy --fps 30 --out in-fortran --quiet
exits 0 'cells in a table' "$vdi" spikes infer cells.csv --fps 30 --out in-table --quiet
exits 0 'cells in a table with a clock' "$vdi" spikes infer clock.tsv --fps 30 --out in-clock --quiet
grep -q '^vdi: warning: time: ' err.txt
ok 'a clock is told' $?
for x in columns fortran table clock; do same in-rows/spikes.npy in-$x/spikes.npy; done
exits 0 'transposed by mistake' "$vdi" spikes infer columns.npy --fps 30 --out mistake --quiet
grep -q '^vdi: warning: shape: 400 neurons of 3 frames: is it transposed?' err.txt
ok 'a transposed file is told' $?
exits 1 'no axes to transpose' "$vdi" spikes infer trials.npy --fps 30 --transpose --out e
exits 2 'no traces' "$vdi" spikes infer --fps 30 --out e
mkdir -p empty unwritable/report.html
exits 1 'a model out of an empty folder' "$vdi" spikes infer rows.npy --fps 30 --model empty --out e
exits 1 'a report that cannot be written' "$vdi" spikes infer rows.npy --fps 30 --out unwritable --quiet
grep -q 'cannot write unwritable/report.html' err.txt
ok "it is told: $(cat err.txt)" $?
# four bytes a number; a share of the neurons has the same rows
exits 0 'four bytes' "$vdi" spikes infer rows.npy --fps 30 --dtype f4 --samples 2 --out four --quiet
[ "$(wc -c <four/spikes.npy)" -eq $((128 + 4 * 1200)) ] && [ "$(wc -c <four/samples.npy)" -eq $((128 + 8 * 1200)) ]
ok 'arrays of four bytes a number' $?
exits 0 'a share' "$vdi" spikes infer rows.npy --fps 30 --shard 2/3 --out share --quiet
tail -c 3200 share/spikes.npy >share.bin
head -c $((128 + 2 * 3200)) in-rows/spikes.npy | tail -c 3200 >whole.bin
same share.bin whole.bin
grep -q '^1,' share/params.csv
ok 'a share names its neuron' $?
exits 2 'no such share' "$vdi" spikes infer rows.npy --fps 30 --shard 4/3 --out e
# several files: a folder each, with the bytes of a run of its own; a share of the files; no two of one name
mkdir -p other && cp cells.csv other/rows.csv
exits 0 'several files' "$vdi" spikes infer rows.npy columns.npy cells.csv --fps 30 --out several --json
grep -q '^{"files": 3, "neurons": 406, ' out.txt && [ "$(wc -l <out.txt)" -eq 1 ]
ok "one line for all files: $(cat out.txt)" $?
grep -q '^vdi: warning: shape: 400 neurons of 3 frames.*, in columns.npy$' err.txt
ok "a warning names its file: $(cat err.txt)" $?
for x in spikes.npy params.csv quality.csv; do same in-rows/$x several/rows/$x; done
same in-table/spikes.npy several/cells/spikes.npy
exits 0 'one of the files again' "$vdi" spikes infer --from several/cells/run.json --out again --quiet
same again/spikes.npy several/cells/spikes.npy
exits 0 'a share of the files' "$vdi" spikes infer rows.npy columns.npy cells.csv --fps 30 --shard 3/3 --out last --quiet
[ -e last/cells/spikes.npy ] && [ ! -e last/rows ] && [ ! -e last/columns ]
ok 'only its files' $?
rm -r several/cells
exits 0 'files that are left' "$vdi" spikes infer --resume several --quiet
for x in rows cells; do same several/$x/spikes.npy in-$(echo $x | sed s/cells/table/)/spikes.npy; done
exits 2 'two of one name' "$vdi" spikes infer rows.npy other/rows.csv --fps 30 --out e
exits 2 'trials of several files' "$vdi" spikes infer rows.npy cells.csv --trials ids.csv --fps 30 --out e
# trials of a neuron: three axes, or the neuron of each row
printf '0\n0\n0\n0\n1\n1\n1\n1\n2\n2\n2\n2\n' >ids.csv
awk 'BEGIN { for (i = 0; i < 12; i++) print 0 }' >one-id.csv
{ bytes '(12, 100)' && cat rows.bin; } >twelve.npy
exits 0 'trials on an axis' "$vdi" spikes infer trials.npy --fps 30 --out axis --quiet
exits 0 'trials by number' "$vdi" spikes infer twelve.npy --fps 30 --trials ids.csv --out number --quiet
tail -c 9600 axis/spikes.npy >axis.bin
tail -c 9600 number/spikes.npy >number.bin
same axis.bin number.bin
same axis/params.csv number/params.csv
head -c 128 axis/spikes.npy | grep -q "'shape': (3, 4, 100)"
ok 'results have the shape of the input' $?
! grep -q '^vdi: warning: short: ' err.txt
ok "rows that are trials may be short: $(cat err.txt)" $?
exits 0 'rows alone' "$vdi" spikes infer twelve.npy --fps 30 --out alone --quiet
grep -q '^vdi: warning: short: 3.33 s of a row ' err.txt
ok "short rows may be trials: $(cat err.txt)" $?
cmp -s alone/spikes.npy number/spikes.npy
[ $? -eq 1 ]
ok 'trials share what is known of them' $?
exits 1 'too few names' "$vdi" spikes infer rows.npy --fps 30 --trials ids.csv --out e
exits 2 'trials by OASIS' "$vdi" spikes infer trials.npy --fps 30 --method oasis --out e
# a folder of Suite2p's: F - 0.7 Fneu of the cells, and the rate out of ops.npy, a pickle that nothing runs
mkdir -p plane0
cp rows.npy plane0/F.npy
{ bytes '(3, 400)' && awk 'BEGIN { for (i = 0; i < 1200; i++) printf "2" }'; } >plane0/Fneu.npy
{ bytes '(3, 2)' && printf '111101' | tr 01 '\0\1'; } >plane0/iscell.npy
printf '\223NUMPY\001\000v\000%-117s\n\200\004\225\000}\224(\214\002Ly\224M\000\002\214\002fs\224G\100\076\000\000\000\000\000\000\214\003tau\224K\001u.......' x >plane0/ops.npy
exits 0 'Suite2p' "$vdi" spikes infer --suite2p plane0 --out s2p --json
grep -q '"neurons": 3.*"empty": 1' out.txt
ok "two cells of three rows: $(cat out.txt)" $?
tail -c 9600 s2p/spikes.npy | head -c 3200 >cell.bin
tail -c 9600 in-rows/spikes.npy | head -c 3200 >whole.bin
same cell.bin whole.bin # a constant neuropil changes nothing
exits 1 'no such folder' "$vdi" spikes infer --suite2p nowhere --out e
exits 2 'traces and Suite2p' "$vdi" spikes infer rows.npy --suite2p plane0 --out e
# constant: no spikes by all
{ bytes '(50,)' && awk 'BEGIN { for (i = 0; i < 50; i++) printf "7" }'; } >constant.npy
for m in pretrained oasis oasis-ar2; do
    exits 0 "constant, $m" "$vdi" spikes infer constant.npy --fps 30 --method $m --out constant --json
    grep -q '": 0, "[a-z_]*per_second": 0, "empty": 0' out.txt
    ok "no spikes in a constant trace by $m: $(cat out.txt)" $?
done
# an interrupt keeps whole rows; memory does not grow with the number of rows
exits 0 'some traces' "$vdi" spikes simulate --cells 100 --traces 5 --frames 3000 --out some --quiet
"$vdi" spikes infer some/traces.npy --fps 60 --out kept --quiet >out.txt 2>err.txt &
pid=$!
n=0
# until a row is there, however slow the machine
while [ "$(cat kept/spikes.npy 2>/dev/null | wc -c)" -le 24128 ] && [ $n -lt 600 ] && kill -0 $pid 2>/dev/null; do sleep 0.1; n=$((n + 1)); done
kill -INT $pid
wait $pid
[ $? -eq 130 ]
ok "interrupted: $(cat err.txt)" $?
exits 0 'what is kept is an array' "$vdi" spikes score kept/spikes.npy kept/spikes.npy --fps 60 --json
done_rows=$(sed 's/.*"neurons": //;s/,.*//' out.txt)
[ "$done_rows" -ge 1 ] && [ "$done_rows" -lt 500 ]
ok "whole rows are kept: $done_rows of 500" $?
[ "$(wc -c <kept/spikes.npy)" -eq $((128 + 24000 * done_rows)) ]
ok 'and nothing else' $?
# a sanitizer needs more address space than any machine has
if [ -z "${VDI_TEST_SANITIZED:-}" ] && (ulimit -v 40000 && "$vdi" --version) >/dev/null 2>&1; then
    (ulimit -v 40000 && "$vdi" spikes infer some/traces.npy --fps 60 --method oasis --out flat --quiet) >out.txt 2>err.txt
    ok "500 traces in 40 MB: $(cat err.txt)" $?
fi
# what is unusual is told, a line for each kind: a rhythm, smoothing, a wrong rate, no transients
awk 'BEGIN { srand(5); pi = atan2(0, -1); for (t = 0; t < 3000; t++) {
    n = sqrt(-2 * log(1 - rand())) * cos(2 * pi * rand()); c = .95 * c + 3 * (rand() < .015)
    m = (p + q + c + n) / 3; q = p; p = c + n
    print c + n "," n + 2 * sin(2 * pi * .5 * t / 30) "," m "," n "," (0 - c - n) } }' >odd.csv
exits 0 'odd traces' "$vdi" spikes infer odd.csv --fps 30 --out odd --json
for kind in line smoothness snr skew; do
    grep -q "^vdi: warning: $kind: [1-3] of 5 neurons (first: [1-4]): " err.txt
    rc=$?
    ok "$kind is told: $(cat err.txt)" $rc
done
grep -q '^neuron,noise_level,snr,missing,saturated,dark,outliers,line,' odd/quality.csv && [ "$(wc -l <odd/quality.csv)" -eq 6 ]
ok 'quality.csv has a row for each neuron' $?
grep -q '"flagged": 4' out.txt
ok "an ordinary cell has no flag: $(cat out.txt)" $?
! grep -q '^vdi: warning: short: ' err.txt
ok "rows of 100 s are not short: $(cat err.txt)" $?
cut -d, -f1 odd.csv >plain.csv
head -n 100 plain.csv >start.csv # these make an hour, which the network sees 60 times a second
exits 0 'seconds a frame' "$vdi" spikes infer start.csv --fps 0.0333 --out slow --quiet
grep -q '^vdi: warning: rate: .*Then say --fps 30' err.txt
ok "the likely rate is told: $(cat err.txt)" $?
exits 0 'four times too slow' "$vdi" spikes infer plain.csv --fps 7.5 --out slow --quiet
grep -q '^vdi: warning: rate: .*nearer to [23][0-9] frames a second' err.txt
ok "the likely rate is told: $(cat err.txt)" $?
exits 0 'four times too fast' "$vdi" spikes infer plain.csv --fps 120 --out fast --quiet
grep -q '^vdi: warning: rate: .*nearer to [2-4][0-9] frames a second' err.txt
ok "the likely rate is told: $(cat err.txt)" $?
exits 0 'two frames a second' "$vdi" spikes infer plain.csv --fps 2 --out few --quiet
grep -q '^vdi: warning: interval: 1 of 1 neurons' err.txt
ok "few frames are told: $(cat err.txt)" $?
# what cannot be read says how to convert it
printf '\211HDF\r\n\032\n0000000000000000' >session.h5
cp session.h5 session.nwb
printf '%-124s\000\002IM%-384s\211HDF\r\n\032\n' 'MATLAB 7.3 MAT-file' '' >session.mat
for f in session.h5 session.nwb session.mat; do
    exits 1 "HDF5 as $f" "$vdi" spikes infer $f --fps 30 --out e
    grep -q 'h5py' err.txt
    rc=$?
    ok "$f says how to convert it: $(cat err.txt)" $rc
done
# scores: all the measures, by neuron, drawn; a neuron with trials is scored as one
exits 0 'all measures' "$vdi" spikes score in-rows/spikes.npy in-rows/spikes.npy --fps 30 --json
for key in r25 r40g r160g r160L delay_ms auc c25 c50 c100 c200 count ln neurons; do
    grep -q "\"$key\": " out.txt
    rc=$?
    ok "score tells $key: $(cat out.txt)" $rc
done
exits 0 'scores of trials' "$vdi" spikes score axis/spikes.npy trials.npy --fps 30 --out scores --quiet
[ "$(wc -l <scores/scores.csv)" -eq 4 ] && grep -q 'estimate' scores/report.html
ok 'scores of three neurons, drawn' $?
exits 0 'scores by number' "$vdi" spikes score number/spikes.npy twelve.npy --fps 30 --trials ids.csv --out scored --quiet
same scores/scores.csv scored/scores.csv
grep -q 'The population' in-rows/report.html && grep -q 'sort' in-rows/report.html
ok 'the report has all neurons' $?
# all of a thousand neurons in a report that a browser opens
exits 0 'a thousand traces' "$vdi" spikes simulate --cells 500 --traces 2 --frames 300 --out thousand --quiet
exits 0 'a thousand neurons' "$vdi" spikes infer thousand/traces.npy --fps 60 --out in-thousand --quiet
size=$(wc -c <in-thousand/report.html)
[ "$size" -lt 5000000 ] && [ "$(grep -o '<tr>' in-thousand/report.html | wc -l)" -ge 1001 ]
ok "a row for each of a thousand neurons, in less than 5 MB: $size bytes" $?
# a fit that is interrupted leaves a model that infers; one that ends leaves a report; noise is told as a collapse
"$vdi" spikes fit line/traces.npy --fps 60 --steps 100000 $(steps "" "--batch 1 --samples 2") --out stopped --quiet >out.txt 2>err.txt &
pid=$!
n=0
while [ ! -e stopped/run.json ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
sleep 0.5
kill -INT $pid
wait $pid
[ $? -eq 130 ]
ok "an interrupted fit: $(cat err.txt)" $?
exits 0 'the model that it leaves' "$vdi" spikes infer line/traces.npy --fps 60 --model stopped --out from-stopped --quiet
exits 0 'labels' "$vdi" spikes fit line/traces.npy --fps 60 --init pretrained --truth line/spikes.npy --steps 3 --out taught --quiet
[ -s taught/report.html ] && [ -s taught/quality.csv ]
ok 'a fit leaves a report' $?
exits 0 'what was taught infers' "$vdi" spikes infer line/traces.npy --fps 60 --model taught --out from-taught --quiet
cmp -s from-taught/spikes.npy taught/spikes.npy
ok 'as it said itself' $?
exits 1 'labels of another shape' "$vdi" spikes fit line/traces.npy --fps 60 --init pretrained --truth one.csv --out e
awk 'BEGIN { srand(9); for (t = 0; t < 300; t++) print rand() }' >noise.csv
exits 0 'a fit on noise' "$vdi" spikes fit noise.csv --fps 30 --rate 0.0001 --learning-rate 0.05 --estimator wake-sleep --steps 80 $(steps '' '--batch 2 --samples 4') --out noise --quiet
[ "$(grep -c "^vdi: warning: collapse: after 20 steps" err.txt)" -eq 2 ]
ok "a collapse is told: $(cat err.txt)" $?
