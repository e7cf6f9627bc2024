#!/bin/sh
# The command-line tool as a stranger uses it: tool.sh [./vdi]. Prints "N passed, N failed"; needs nothing but the tool, awk and a shell.
# shellcheck source=tests/shell.sh
. "$(dirname "$0")/shell.sh"
repository=$(dirname "$here")

exits 0 version "$vdi" --version
exits 0 help "$vdi" --help
# the commands that the help lists, "lds_fit" a word
commands=$(awk '/^  [a-z]/ { c = substr($0, 3, 17); sub(/ +$/, "", c); gsub(/ /, "_", c); print c }' out.txt)
[ "$(echo "$commands" | grep -cE '^(info|lds_fit|sacd_train|spikes_score)$')" -eq 4 ]
ok 'the help lists the commands' $?
for c in $commands; do
    c=$(echo "$c" | tr _ ' ')
    exits 0 "help of $c" "$vdi" $c --help
    grep -q '^example:' out.txt
    ok "help of $c has an example" $?
done
exits 2 'no such family' "$vdi" nothing
exits 2 'no such verb' "$vdi" lds nothing
exits 2 'no verb' "$vdi" lds
exits 2 'no such option' "$vdi" info --nothing
grep -q "of 'vdi info'" err.txt
ok 'a command without a verb has no space behind its name' $?
exits 2 'no value' "$vdi" info --seed
exits 2 'not a number' "$vdi" info --seed two
exits 2 'no such path' "$vdi" info --simd mmx
# refused RANGE COMMAND...: a value out of its range is wrong usage, and the message has the range
refused() {
    range=$1
    shift
    exits 2 "$*" "$vdi" "$@"
    grep -q -e "$range" err.txt
    rc=$?; ok "the message of '$*' has the range: $(cat err.txt)" $rc
}
refused '--d: expected 1 to 1024, got 0' lds fit y -d 0 --out e
refused '--d: expected 1 to 1024, got 65000' lds fit y --dim=65000 --out e
refused '--iters: expected 0 to 100000000, got 1.5' lds fit y -d2 --iters 1.5 --out e
refused '--bin-width: expected above 0.*, got nan' vilds fit y -d 2 --bin-width nan --out e
refused '--bin-width: expected above 0.*, got -3' vilds fit y -d 2 --bin-width -3 --out e
refused "--transition: expected .*, got 'bogus'" vilds fit y -d 2 --transition bogus --out e
refused '--hidden: expected none, or up to [0-9]* sizes from 1 to [0-9]*, got 0.5' vilds fit y -d 2 --hidden 0.5 --out e
refused '--steps: expected .*at least 1, got 0' vilds fit y -d 2 --steps 0 --out e
refused '--restart-steps: expected .*at least 1, got 0' vilds fit y -d 2 --restart-steps 0 --out e
refused '--iw: expected 0 to 1000000000, got 2000000000' vilds score m y --iw 2000000000
refused '--threads: expected 0 to 1024, got 5000' info --threads 5000
refused '--seed: expected a whole number from 0 on, got -1' info --seed -1
refused '--estimator: expected auto, vimco,.* got .foo' spikes fit x --fps 30 --estimator foo --out e
refused '--gamma: expected above 0, at most 1, got 2' sacd train --env pendulum --gamma 2 --out e
"$vdi" sacd train --help | awk 'length > 80 { exit 1 }'
ok 'help is wrapped to 80 columns' $?
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
# run.json is typed, and read back typed or refused
grep -q '"iters": 200' a/run.json
ok 'numbers of run.json are numbers' $?
for wrong in '"3O00"' '1.5' '-1' '[3]' 'null'; do
    sed "s/\"iters\": 200/\"iters\": $wrong/" a/run.json >wrong.json
    exits 1 "iters $wrong in run.json" "$vdi" lds fit --from wrong.json --out e
done
sed 's/"iters": 200/"iters": 200, "itres": 3/' a/run.json >wrong.json
exits 1 'an option that is none in run.json' "$vdi" lds fit --from wrong.json --out e
for d in '-d 2' -d2 -d=2 '--dim 2' --dim=2 --d=2; do
    exits 0 "$d" "$vdi" lds fit y.csv $d --iters 1 --out short --quiet
    grep -q '"d": 2' short/run.json
    ok "$d is the dimension" $?
done
exits 0 'two threads' "$vdi" lds fit y.csv -d 2 --iters 200 --threads 2 --out d --quiet
same a/trace.npy d/trace.npy
exits 0 smooth "$vdi" lds smooth y.csv --params a --out s --json
for f in mp Pp mf Pf ms Ps Pc ll; do [ -s s/$f.npy ]; ok "smooth wrote $f.npy" $?; done
for f in ms Ps ys yv innovations; do [ -s s/$f.npy ]; ok "lds smooth wrote $f.npy" $?; done
exits 0 'smooth in windows' "$vdi" lds smooth y.csv --params a --window 4 --out sw --quiet
for f in mp mf ms Pp Pf Ps Pc ll ys yv innovations; do # the same shapes, and numbers to some digits
    cmp -n 128 s/$f.npy sw/$f.npy; ok "windows: the head of $f.npy" $?
    for d in s sw; do tail -c +129 $d/$f.npy | od -An -v -tf8 -w8 | awk '{ printf "%.9f\n", $1 + 0 }' | sed 's/^-0\.0*$/0.000000000/' >$d.txt; done
    cmp s.txt sw.txt; ok "windows: $f.npy" $?
done
exits 0 forecast "$vdi" lds forecast y.csv --params a --horizon 5 --out ahead --json
for f in zm zc ym yc yv; do [ -s ahead/$f.npy ]; ok "lds forecast wrote $f.npy" $?; done
exits 0 'samples of the model' "$vdi" lds sample --params a --trials 2 --bins 30 --out drawn --quiet
exits 0 'samples, scored' "$vdi" lds score drawn/y.npy --params a --json
exits 0 'samples of the posterior' "$vdi" lds sample y.csv --params a --samples 2 --out drawn2 --quiet
exits 0 'A and R frozen' "$vdi" lds fit y.csv --init a --freeze A,R --iters 3 --out frozen --quiet
same a/A.npy frozen/A.npy
same a/R.npy frozen/R.npy
cmp -s a/C.npy frozen/C.npy
[ $? -ne 0 ]; ok 'C was not frozen, and moved' $?
mkdir groups
printf '\223NUMPY\001\000v\000%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }" >groups/A.npy
printf '\001\000\000\001' >>groups/A.npy
exits 0 'ties' "$vdi" lds fit y.csv --init a --ties groups --bounds-a -0.5,0.5 --iters 20 --out tied --quiet
cmp -s a/A.npy tied/A.npy
[ $? -ne 0 ]; ok 'what --ties seeks has moved' $?
exits 1 'ties of another shape' "$vdi" lds fit y.csv -d 3 --ties groups --out e
exits 2 'bounds that fall' "$vdi" lds fit y.csv -d 2 --bounds-a 1,0 --out e
exits 2 'no such parameter' "$vdi" lds fit y.csv -d 2 --freeze A,Z --out e
exits 0 'until it has settled' "$vdi" lds fit y.csv -d 1 --iters 5000 --tol 1e-4 --out settled --json
grep -q '"converged": 1' out.txt; ok 'lds fit --tol says that it converged' $?
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
# spikes: simulated, found again, scored; one trace alone keeps its shape, and times in seconds score as counts do
for c in simulate infer fit spine score; do exits 0 "help of spikes $c" "$vdi" spikes $c --help; done
exits 0 'simulate spikes' "$vdi" spikes simulate --model scdf --cells 2 --traces 2 --frames 900 --out sim --json
exits 0 'simulate a spine' "$vdi" spikes simulate --model spine --cells 1 --traces 1 --frames 300 --out spine --quiet
exits 0 'simulate a line' "$vdi" spikes simulate --cells 2 --traces 1 --frames 3000 --out line --quiet
for m in oasis oasis-ar2; do
    exits 0 "$m" "$vdi" spikes infer line/traces.npy --fps 60 --method $m --truth line/spikes.npy --out $m --json
    for f in spikes.npy probability.npy denoised.npy params.csv report.html run.json; do [ -s $m/$f ]; ok "$m wrote $f" $?; done
    exits 0 "score of $m" "$vdi" spikes score $m/spikes.npy line/spikes.npy --fps 60 --json
    awk -F'[:,]' '{ exit !($1 ~ /r25/ && $2 > 0.6) }' out.txt
    rc=$?; ok "$m finds the spikes: $(cat out.txt)" $rc
done
exits 0 'oasis, two threads' "$vdi" spikes infer line/traces.npy --fps 60 --method oasis --threads 2 --out oasis2 --quiet
same oasis/spikes.npy oasis2/spikes.npy
awk 'BEGIN { for (t = 0; t < 300; t++) { c = .95 * c + (t % 60 == 30); print c + .01 * (t % 7) } }' >one.csv
awk 'BEGIN { for (t = 30; t < 300; t += 60) print t / 30 }' >times.csv
exits 0 'one trace' "$vdi" spikes infer one.csv --fps 30 --method oasis --penalty l0 --s-min 0.5 --out one --quiet
exits 0 'one trace against times' "$vdi" spikes score one/spikes.npy times.csv --fps 30 --json
awk -F'[:,]' '{ exit !($2 > 0.7) }' out.txt
rc=$?; ok "five spikes of five: $(cat out.txt)" $rc
exits 2 'no frame rate' "$vdi" spikes infer line/traces.npy --method oasis --out e
exits 2 'no such method' "$vdi" spikes infer line/traces.npy --fps 60 --method magic --out e
exits 2 'a rise without order 2' "$vdi" spikes infer line/traces.npy --fps 60 --method oasis --tau-r 0.1 --out e
exits 1 'counts of another shape' "$vdi" spikes score oasis/spikes.npy sim/spikes.npy --fps 60
# shellcheck source=tests/tool_spikes.sh
. "$here/tool_spikes.sh"
# an environment behind a pipe: a server in a few lines of shell, which can die, lie and send NaN. Ten steps an episode.
cat >server.sh <<'END'
steps=0
message() { dd bs="$1" count=1 2>/dev/null; }
while kind=$(message 4) && [ -n "$kind" ]; do
    case $kind in
    HELO) message 16 >/dev/null
        printf "INFO\\043\\000\\000\\000vdi-env\\n\\001\\000\\000\\000${SIZE:-\\001}\\000\\000\\000\\001\\000\\000\\000\\001\\000\\000\\000\\012\\000\\000\\000"
        printf 'sh\000\000\000r\000' ;;
    RSET) message 20 >/dev/null; printf 'OBSV\004\000\000\000\000\000\200\076' ;;
    STEP) message 8 >/dev/null; steps=$((steps + 1)) last='\000' number='\000\000\000\077'
        [ $((steps % 10)) -eq 0 ] && last='\002'
        [ $steps = "${NAN:-}" ] && number='\000\000\300\177'
        [ $steps = "${LIFE:-}" ] && exit 3
        printf "TRAN\\014\\000\\000\\000$last\\000\\000\\000$number\\000\\000\\200\\076" ;;
    *) exit ;;
    esac
done
END
train() { "$vdi" sacd train --hidden 8,8 --batch 8 --start 20 --steps 100 --quiet "$@"; }
served() { train --env-cmd 'sh server.sh' "$@"; }
exits 0 'an environment behind a pipe' served --out p
export LIFE=55
exits 1 'a server that dies' served --out q
unset LIFE
grep -q 'exit status 3.*sh server.sh' err.txt
ok "the message tells how it ended: $said" $?
exits 2 'a command out of a file' "$vdi" sacd train --resume q --quiet
exits 0 'resumed with a server that lives' "$vdi" sacd train --resume q --quiet --trust
same p/agent.safetensors q/agent.safetensors
# no file starts a program: not a model by its metadata, nor a run.json without --trust
exits 2 'eval of a run behind a pipe' "$vdi" sacd eval p --episodes 1
grep -q -- "--trust to run 'sh server.sh', which stands in p/run.json" err.txt
ok "the command is shown: $said" $?
exits 0 'eval with --trust' "$vdi" sacd eval p --episodes 1 --trust --json
exits 0 'eval with the command given' "$vdi" sacd eval p/agent.safetensors --episodes 1 --env-cmd 'sh server.sh' --json
sed 's/sh server.sh/touch opened/' p/run.json >p/new.json && mv p/new.json p/run.json
for f in p p/agent.safetensors; do "$vdi" sacd eval $f >out.txt 2>err.txt; "$vdi" sacd inspect $f --out e >out.txt 2>err.txt; done
"$vdi" --from p/run.json --quiet >out.txt 2>err.txt
[ ! -e opened ]
ok 'no file starts a program' $?
export NAN=7
exits 1 'a server that sends NaN' served --out q2
unset NAN
grep -q 'reward 0 (r)' err.txt
ok "the message names the number: $said" $?
export SIZE='\002'
exits 1 'a server that lies about its size' served --out q3
unset SIZE
exits 1 'a server that is none' train --env-cmd 'echo hello, world; cat >/dev/null' --out q4
exits 1 'a server that says nothing' train --env-cmd 'sleep 5' --env-timeout 0.2 --out q5
exits 1 'no such server' train --env-cmd 'exec 2>/dev/null; exec ./nothing' --out q6
exits 2 'no such environment' train --env nothing --out q7
exits 2 'two environments' served --env pendulum --out q7

# bytes TRIALS LEVEL: spike counts of 5 neurons in trials of 30 bins, as a .npy of bytes, written by hand
bytes() {
    printf '\223NUMPY\001\000v\000%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': ($1, 30, 5), }"
    printf "$(awk -v trials="$1" -v level="$2" 'BEGIN { srand(5); for (b = 0; b < trials; b++) for (t = 0; t < 30; t++) {
        z = .95 * z + .5 * (rand() - .5)
        for (j = 0; j < 5; j++) { l = exp(level + (j - 2) * z); for (k = 0; k < 9 && (l += log(rand())) > 0; k++);
            printf "\\%03o", k } } }')"
}
bytes 6 -.8 >counts.npy
bytes 12 -3.5 >few.npy
# shape FILE "(6, 30, 2)"
shape() { head -c 128 "$1" | grep -aq "'shape': $2"; rc=$?; ok "$1 has shape $2: $(head -c 128 "$1" | tr -d '\000' | cut -c 10-90)" $rc; }
# says WORDS...: the last line of the output has each
says() { for w; do tail -1 out.txt | grep -q "$w"; rc=$?; ok "'$w' in $(head -c 300 out.txt)" $rc; done; }
small='-d 2 --recipe dense --restarts 3 --restart-steps 20 --steps 80 --hidden 10 --encoder-hidden 10'
exits 0 'flds fit' "$vdi" flds fit counts.npy $small --out f --json
[ "$(wc -l <out.txt)" -eq 1 ]
ok 'flds fit --json prints one line' $?
says '^{"elbo_per_bin": -' '"homogeneous_per_bin": -' '"steps": 140'
for f in model.safetensors trace.csv trace.svg latents.svg rates.svg run.json; do [ -s f/$f ]; ok "flds fit wrote $f" $?; done
[ "$(wc -l <f/trace.csv)" -eq 141 ]
ok 'the trace has a row for each step, under a head' $?
exits 0 'flds fit, two threads' "$vdi" flds fit --from f/run.json --threads 2 --out f2 --quiet
same f/model.safetensors f2/model.safetensors
exits 0 'plds fit' "$vdi" plds fit counts.npy -d 2 --iters 10 --out p --json
grep -q '"elbo_per_bin": -.*"converged"' out.txt; ok 'plds fit has its keys' $?
for f in model.safetensors trace.npy latents.svg rates.svg run.json; do [ -s p/$f ]; ok "plds fit wrote $f" $?; done
exits 0 'plds fit, two threads' "$vdi" plds fit --from p/run.json --threads 2 --out pt --quiet
same p/model.safetensors pt/model.safetensors
exits 0 'plds fit, six iterations' "$vdi" plds fit counts.npy -d 2 --iters 6 --out pr --quiet
exits 0 'plds fit, ten in all' "$vdi" plds fit --resume pr --iters 10 --quiet
same p/model.safetensors pr/model.safetensors
same p/trace.npy pr/trace.npy
exits 1 'fewer than it has done' "$vdi" plds fit --resume pr --iters 5
exits 0 'plds infer' "$vdi" plds infer p counts.npy --out pi --json
for f in mean cov lagcov rates elbo; do [ -s pi/$f.npy ]; ok "plds infer wrote $f.npy" $?; done
exits 0 'plds score' "$vdi" plds score p counts.npy --lno --one-step --iw 20 --json
grep -q '"iw_per_bin".*"homogeneous_per_bin".*"one_step_bits_per_spike".*"lno_bits_per_spike"' out.txt
ok 'plds score has its keys' $?
exits 0 'plds predict' "$vdi" plds predict p counts.npy --task one-step --out pp --quiet
for f in mean variance rates log_p; do [ -s pp/$f.npy ]; ok "plds predict wrote $f.npy" $?; done
printf 'time,unit\n0.01,3\n0.019,3\n0.02,7\n0.055,3\n0.1,7\n1.005,7\n1.06,3\n' >spikes.csv
printf '0,0.1\n1,1.04\n' >events.csv
exits 0 counts "$vdi" counts spikes.csv --bin 0.02 --events events.csv --out binned --json
grep -q '"trials": 2, "bins": 5, "units": 2, "spikes": 7, "counted": 5' out.txt; ok "counts: $(cat out.txt)" $?
[ "$(tail -c 160 binned/counts.npy | od -An -v -td8 -w16 | awk '{ print ($1 != 0) ($2 != 0) }' | tr '\n' ' ')" = '10 01 10 00 00 01 00 00 00 00 ' ]
ok 'counts are where the spikes are' $?
printf '0.05\n1.02\n' >moments.csv
exits 0 'counts about moments' "$vdi" counts spikes.csv --bin 0.02 --events moments.csv --start -0.04 --stop 0.04 --out binned2 --quiet
exits 1 'moments without a window' "$vdi" counts spikes.csv --bin 0.02 --events moments.csv --out e
exits 2 'no bin' "$vdi" counts spikes.csv --out e
exits 1 'a trial shorter than a bin' "$vdi" counts spikes.csv --bin 0.5 --events events.csv --out e
exits 0 'plds cv' "$vdi" plds cv counts.npy -d 1,2 --folds 3 --iters 4 --out cv --json
grep -q '"d1_per_bin": -.*"d2_lno_bits_per_spike".*"best_d".*"jobs": 6' out.txt; ok 'plds cv has its keys' $?
exits 0 'a shard' "$vdi" plds cv counts.npy -d 1,2 --folds 3 --iters 4 --shard 1/2 --out cv0 --quiet
exits 0 'the other shard' "$vdi" plds cv counts.npy -d 1,2 --folds 3 --iters 4 --shard 2/2 --out cv1 --quiet
exits 0 'shards together' "$vdi" merge cv0 cv1 --out cvm --json
for f in cv.csv cv.svg; do same cv/$f cvm/$f; done
rm cv/job-d2-fold1.npy cv/cv.csv
exits 0 'plds cv, resumed' "$vdi" plds cv --resume cv --quiet
same cv/cv.csv cvm/cv.csv
exits 0 'lds cv' "$vdi" lds cv counts.npy -d 1,2 --folds 2 --iters 4 --out cvl --json
exits 0 'flds cv' "$vdi" flds cv counts.npy -d 1,2 --folds 3 --recipe smooth --steps 3 --out cvf --json --quiet
grep -q '"d1_per_bin": -.*"d2_lno_bits_per_spike".*"best_d".*"jobs": 6' out.txt; ok 'flds cv has its keys' $?
rm cvf/job-d2-fold1.npy; cp cvf/cv.csv cvf.csv
exits 0 'flds cv, resumed' "$vdi" flds cv --resume cvf --quiet
same cvf/cv.csv cvf.csv
exits 0 'latents, compared' "$vdi" latents compare pi/mean.npy pi/mean.npy --out lc --json
grep -q '"procrustes_r2": \(1\|0.99999\).*"shared_of_second": \(1\|0.99999\).*"shared_of_first"' out.txt; ok "latents compare: $(cat out.txt)" $?
exits 0 'latents, decoded' "$vdi" latents decode pi/mean.npy pi/rates.npy --out ld --json
grep -q '"decode_r2": 0\.[5-9]' out.txt; ok "latents decode: $(cat out.txt)" $?
exits 0 'flds infer --decode' "$vdi" flds infer f counts.npy --decode pi/mean.npy --out fd --json --quiet
grep -q '"decode_r2": ' out.txt && [ -s fd/decoded.npy ]; ok 'infer decodes' $?
exits 0 'plds infer --decode' "$vdi" plds infer p counts.npy --decode pi/mean.npy --out pd --json
grep -q '"bins": [0-9]*, "decode_r2": ' out.txt && [ -s pd/decoded.npy ]; ok 'plds infer decodes' $?
exits 0 'lds smooth --decode' "$vdi" lds smooth y.csv --params a --decode s/ms.npy --out sd --json
grep -q '"lanes": [0-9]*, "decode_r2": ' out.txt && [ -s sd/decoded.npy ]; ok 'lds smooth decodes' $?
exits 0 'and in windows' "$vdi" lds smooth y.csv --params a --decode s/ms.npy --window 4 --out se --json
grep -q '"decode_r2": ' out.txt && [ -s se/decoded.npy ]; ok 'in windows too' $?
exits 1 'latents of other bins' "$vdi" latents compare pi/mean.npy pi/elbo.npy --out e
exits 1 'a thing of other bins' "$vdi" latents decode pi/mean.npy pi/elbo.npy --out e
exits 1 'more folds than trials' "$vdi" lds cv counts.npy -d 1 --folds 7 --out e
exits 2 'no dimensions' "$vdi" lds cv counts.npy --out e
exits 2 'a shard beyond the last' "$vdi" lds cv counts.npy -d 1 --shard 3/2 --out e
exits 1 'nothing to merge' "$vdi" merge nowhere --out e
exits 1 'a model of another family' "$vdi" plds score f counts.npy
exits 1 'inputs of other bins' "$vdi" lds fit counts.npy -d 2 --inputs y.csv --out e
grep -q 'in y.csv$' err.txt; ok "wrong inputs are told as theirs: $(cat err.txt)" $?
printf 'nan,nan\nnan,nan\nnan,nan\n' >nan.csv
for family in lds plds flds vilds; do exits 1 "$family, all missing" "$vdi" $family fit nan.csv -d 1 --out e; done
exits 0 'a recipe that is looked for, of few spikes' "$vdi" flds fit few.npy -d 2 $(steps '' '--hidden 5 --encoder-hidden 5') --recipe auto --em 3 --steps 20 --out few
grep -q 'recipe [a-z]*: on every fifth trial' err.txt
ok 'it is told which recipe' $?
exits 0 'flds infer' "$vdi" flds infer f counts.npy --samples 3 --out fi --json
says '"elbo_per_bin": -'
shape fi/mean.npy '(6, 30, 2)'
shape fi/cov.npy '(6, 30, 2, 2)'
shape fi/lagcov.npy '(6, 29, 2, 2)'
shape fi/rates.npy '(6, 30, 5)'
shape fi/samples.npy '(3, 6, 30, 2)'
[ -s fi/latents.svg ]
ok 'flds infer drew its latents' $?
exits 0 'flds score' "$vdi" flds score f counts.npy --lno --one-step --refine 3 --iw 4 --rates-out lno.npy --json
[ "$(wc -l <out.txt)" -eq 1 ]
ok 'flds score --json prints one line' $?
says '^{"elbo_per_bin": -' '"amortised_elbo_per_bin": -' '"iw_per_bin": -' '"homogeneous_per_bin": -' '"lno_bits_per_spike": ' '"one_step_bits_per_spike": ' \
    '"lno_mse": '
shape lno.npy '(6, 30, 5)'
exits 0 'flds score of a file' "$vdi" flds score f/model.safetensors counts.npy
# every kind of count that the help lists
kinds=$("$vdi" flds fit --help | tr -s '\n ' ' ' | sed 's/.*--obs NAME Observations. Values: \([^.]*\)\..*/\1/; s/ or / /; s/,//g; s/gaussian//')
[ "$(echo $kinds | wc -w)" -ge 4 ]
ok "the help lists the kinds of observation: $kinds" $?
for o in $kinds; do
    y=counts.npy
    [ $o = bernoulli ] && y=ones.csv && awk 'BEGIN { srand(2); for (t = 0; t < 50; t++) print (rand() < .3) "," (rand() < .5) }' >$y
    exits 0 "flds fit --obs $o" "$vdi" flds fit $y $small --obs $o --out o --quiet
    exits 0 "flds score of $o" "$vdi" flds score o $y --refine 2 --lno --json
    says '"lno_bits_per_spike": [-0-9]'
done
exits 0 'flds fit from a Poisson LDS' "$vdi" flds fit counts.npy -d 2 --recipe plds --steps 50 --em 10 --out fp --json
says '"steps": 75'
exits 0 'flds fit from a Poisson LDS, without steps of the encoder alone' "$vdi" flds fit counts.npy -d 2 --recipe plds --steps 50 --encoder-steps 0 --em 10 --out fp --json
says '"steps": 50'
exits 0 'flds fit without a network' "$vdi" flds fit counts.npy -d 1 --hidden none --steps 30 --restarts 2 --restart-steps 10 --out fn --quiet
grep -q '"recipe": "plds"' fn/run.json
ok 'a linear read-out of counts begins and ends as a Poisson LDS' $?
exits 0 'flds fit chooses a recipe' "$vdi" flds fit counts.npy -d 1 --steps 20 --restarts 1 --out fa --quiet
grep -Eq '"recipe": "(dense|smooth|sparse)"' fa/run.json
ok 'run.json tells the recipe that was chosen' $?
# few spikes: two recipes are tried on trials that they do not see; 4 neurons in 10 trials of 20 bins
{
    printf '\223NUMPY\001\000v\000%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': (10, 20, 4), }"
    printf "$(awk 'BEGIN { srand(6); for (i = 0; i < 800; i++) printf "\\%03o", rand() < .08 }')"
} >few.npy
exits 0 'flds fit of few spikes' "$vdi" flds fit few.npy -d 1 --hidden 5 --encoder-hidden 5 --steps 20 --restarts 2 --restart-steps 10 --em 5 --out fs
grep -Eq 'recipe [a-z]*: on every fifth trial.*neurons from the others -[0-9.]+, -[0-9.]+$' err.txt
ok 'flds fit tries two recipes where spikes are few' $?
# the one with the higher sum of bound and left-out neurons
awk '{ gsub(/,/, ""); for (i = 1; i <= NF; i++) if ($i ~ /^-[0-9.]+$/) v[++n] = $i }
     END { exit !(n == 4 && ($2 == (v[2] + v[4] > v[1] + v[3] ? "plds:" : "sparse:"))) }' err.txt
ok "the choice is by both scores: $(cat err.txt)" $?
grep -Eq '"recipe": "(sparse|plds)"' fs/run.json
ok 'run.json tells which of the two' $?
# what vilds adds: real values with holes, other families of q, trials of unequal length, validation
for q in product direct meanfield; do
    exits 0 "vilds fit --posterior $q" "$vdi" vilds fit y.csv $small --obs gaussian --posterior $q --window 50 --val y.csv --out v$q --json
    says '"val_elbo_per_bin": -'
    exits 0 "vilds infer of $q" "$vdi" vilds infer v$q y.csv --refine 2 --out vi --quiet
    shape vi/mean.npy '(1, 400, 2)'
    exits 0 "vilds score of $q" "$vdi" vilds score v$q y.csv --refine 2 --iw 2 --particles 5 --json
    says '"elbo_per_bin": -' '"amortised_elbo_per_bin": -' '"iw_per_bin": -' '"particle_per_bin": -' '"homogeneous_per_bin": -'
done
printf '30\n12\n1\n30\n7\n30\n' >lengths.csv
exits 0 'trials of unequal length' "$vdi" vilds fit counts.npy $small --transition 5 --lengths lengths.csv --out r --json
says '"bins": 110'
exits 0 'score of them' "$vdi" flds score r counts.npy --lengths lengths.csv --lno --one-step --json
says '"bins": 110'
# interrupted by Ctrl-C, or killed, then resumed: the bits of a run that was left alone
exits 0 'a longer fit' "$vdi" flds fit counts.npy $small --steps "$(steps 1500 300)" --out u1 --quiet
for s in INT KILL; do
    for wait in 0.4 0.2 0.1 0.05; do # a fast machine is done before a late signal
        rm -rf k
        "$vdi" flds fit counts.npy $small --steps "$(steps 1500 300)" --save-every 0.02 --out k --quiet >out.txt 2>err.txt &
        pid=$!
        sleep $wait
        kill -$s $pid 2>/dev/null
        wait $pid 2>/dev/null
        code=$?
        [ $code -eq 0 ] || break
    done
    [ $code -eq 130 ] || [ $s = KILL -a $code -gt 128 ]
    ok "a fit that gets $s ends with $code" $?
    exits 0 "resumed after $s" "$vdi" flds fit --resume k --quiet
    same u1/model.safetensors k/model.safetensors
    same u1/trace.csv k/trace.csv
done
# what cannot be
exits 1 'halves are no counts' "$vdi" flds fit y.csv -d 1 --out e
grep -q 'expected a count.*y.csv' err.txt
rc=$?; ok "the message tells what was expected: $(cat err.txt)" $rc
exits 1 'neurons that the model does not have' "$vdi" flds score f y.csv
grep -q '(trials,T,5).*y.csv' err.txt
rc=$?; ok "the message tells the shapes: $(cat err.txt)" $rc
exits 1 'a model that is none' "$vdi" flds score counts.npy counts.npy
exits 1 'parameters of another kind' "$vdi" flds score i/checkpoint.safetensors counts.npy
exits 1 'no model' "$vdi" vilds infer nothing counts.npy --out e
exits 1 'a fit that is not over' "$vdi" vilds infer a counts.npy --out e
exits 1 'lengths of other trials' "$vdi" vilds score f counts.npy --lengths y.csv
exits 1 'labels of other trials' "$vdi" flds infer f counts.npy --label y.csv --out e
exits 1 'bits per spike without spikes' "$vdi" flds score vproduct y.csv --lno
exits 2 'no dimension' "$vdi" flds fit counts.npy --out e
exits 2 'no such observations' "$vdi" flds fit counts.npy -d 2 --obs gamma --out e
exits 2 'no such layers' "$vdi" flds fit counts.npy -d 2 --hidden 60,,60 --out e
exits 2 'no such recipe' "$vdi" flds fit counts.npy -d 2 --recipe nothing --out e
exits 2 'no folder for a model' "$vdi" flds fit counts.npy -d 2

# ---- killed and interrupted --------------------------------------------------------------------------------------------------

# whole FOLDER COMMAND...: a run that is left alone, and how many milliseconds it took
export VDI_TEST_CHECKPOINT_MS=50
whole() {
    folder=$1
    shift
    before=$(date +%s%N)
    exits 0 "a long $1 $2" "$vdi" "$@" --out "$folder" --quiet
    took=$((($(date +%s%N) - before) / 1000000))
}
# again COMMAND...: the run in `struck`, from where it is; every other begins with the run.json of the whole run. In place of the
# subshell that it is called in, which has its number.
again() {
    [ ! -e struck/run.json ] || exec "$vdi" "$1" "$2" --resume struck --quiet
    [ $((ended % 2)) -eq 0 ] || exec "$vdi" "$1" "$2" --from "$whole/run.json" --out struck --quiet
    exec "$vdi" "$@" --out struck --quiet
}
# finished NAME COMMAND...: what the run has left, after it was resumed once more for nothing, has the bits of the run in $whole
finished() {
    for f in $files; do same $whole/$f struck/$f; done
    exits 0 "$1, resumed when it was finished" "$vdi" "$2" "$3" --resume struck --quiet
    for f in $files; do same $whole/$f struck/$f; done
}
# struck NAME FOLDER FILES COMMAND...: the command killed (kill -9) at $kills random moments, up to a quarter of what the whole run
# took (later for as long as nothing was saved by then: the machine may be busier now), and resumed. When it comes to its end its
# files have the bits of the run in FOLDER, and it begins anew. Checkpoints come every 50 ms, so most of these kills are between
# two of them.
kills=${VDI_TEST_KILLS:-50}
struck() {
    who=$1 whole=$2 files=$3 killed=0 resumed=0 ended=0 later=0
    shift 3
    rm -rf struck
    while [ $killed -lt "$kills" ] && [ $ended -lt 40 ]; do
        saved=0
        for f in struck/checkpoint.safetensors struck/job-*.npy; do [ ! -e "$f" ] || saved=1; done
        resumed=$((resumed + saved))
        [ $saved = 1 ] || later=$((later + took / 50))
        again "$@" >out.txt 2>err.txt &
        pid=$!
        moment=$((moment * 75 % 65537))
        ms=$((20 + later + took * (moment % 25) / 100))
        sleep $((ms / 1000)).$(printf '%03d' $((ms % 1000)))
        kill -9 $pid 2>/dev/null
        wait $pid 2>/dev/null
        code=$?
        [ $code -ne 137 ] || { killed=$((killed + 1)) && continue; }
        ended=$((ended + 1))
        [ $code -eq 0 ]
        ok "$who, killed and resumed: exit $code ($(head -c 200 err.txt))" $?
        finished "$who" "$1" "$2"
        rm -rf struck
    done
    (again "$@") >out.txt 2>err.txt
    ok "$who after $killed kills: $(head -c 200 err.txt)" $?
    finished "$who" "$1" "$2"
    [ $resumed -ge $((kills / 5)) ]
    ok "$who was resumed from what it had saved, $resumed times of $killed" $?
}
exits 0 'wake-sleep' "$vdi" spikes fit line/traces.npy --fps 60 --steps 2 --batch 2 --samples 4 --estimator wake-sleep --out ws --quiet
exits 0 'wake-sleep from run.json' "$vdi" spikes fit --from ws/run.json --out ws2 --quiet
exits 0 'the pretrained network, tuned' "$vdi" spikes fit line/traces.npy --fps 60 --init pretrained --steps 2 --out tuned --quiet
exits 0 'what was tuned infers' "$vdi" spikes infer line/traces.npy --fps 60 --model tuned --out tuned-spikes --quiet
same ws/model.safetensors ws2/model.safetensors
moment=4711
set -- lds fit y.csv -d 2 --iters "$(steps 4000 400)"
whole whole-lds "$@"
struck 'lds fit' whole-lds 'A.npy C.npy R.npy trace.npy latents.svg' "$@"
set -- plds fit counts.npy -d 2 --iters "$(steps 3000 300)"
whole whole-plds "$@"
struck 'plds fit' whole-plds 'model.safetensors trace.npy latents.svg rates.svg' "$@"
set -- flds fit counts.npy $small --steps "$(steps 3000 200)"
whole whole-flds "$@"
struck 'flds fit' whole-flds 'model.safetensors trace.csv rates.svg' "$@"
set -- vilds fit counts.npy $small --posterior product --steps "$(steps 2500 200)"
whole whole-vilds "$@"
struck 'vilds fit' whole-vilds 'model.safetensors trace.csv latents.svg' "$@"
set -- spikes fit line/traces.npy --fps 60 --steps "$(steps 100 10)" --batch 4 --samples 8
whole whole-spikes "$@"
struck 'spikes fit' whole-spikes 'model.safetensors spikes.npy trace.csv params.csv' "$@"
set -- spikes spine dendrite.csv spine.csv --fps 60 --steps "$(steps 12 4)" --batch 4 --samples 8
awk -v second=spine.csv 'BEGIN { srand(7); for (t = 0; t < 600; t++) { u = rand(); a = .9 * a + (u < .02); b = .9 * b + (u < .04)
    print a + .1 * rand() >"dendrite.csv"; print b + .1 * rand() >second } }'
whole whole-spine "$@"
struck 'spikes spine' whole-spine 'model.safetensors bap.npy trace.csv params.csv' "$@"
set -- spikes fit line/traces.npy --fps 60 --init pretrained --steps "$(steps 8 2)" --batch 4 --samples 8
whole whole-tuned "$@"
struck 'spikes fit of the network in the box' whole-tuned 'model.safetensors spikes.npy trace.csv' "$@"
set -- spikes fit line/traces.npy --fps 60 --init pretrained --truth line/spikes.npy --steps "$(steps 16 4)" --batch 4
whole whole-taught "$@"
struck 'spikes fit of the network in the box, with labels' whole-taught 'model.safetensors spikes.npy trace.csv' "$@"
set -- sacd train --env pendulum --hidden 16,16 --batch 16 --start 50 --steps "$(steps 30000 2000)"
whole whole-sacd "$@"
struck 'sacd train' whole-sacd 'agent.safetensors log.csv curve.svg' "$@"
exits 0 'many traces' "$vdi" spikes simulate --cells "$(steps 20 2)" --traces 5 --frames 2000 --out many --quiet
set -- spikes infer many/traces.npy --fps 60 --samples 2
whole whole-infer "$@"
struck 'spikes infer' whole-infer 'spikes.npy probability.npy deviation.npy samples.npy params.csv quality.csv report.html' "$@"
set -- spikes infer many/traces.npy --fps 60 --method oasis-ar2
whole whole-oasis "$@"
struck 'spikes infer by OASIS' whole-oasis 'spikes.npy denoised.npy params.csv' "$@"
set -- lds cv counts.npy -d 1,2,3 --folds 6 --iters "$(steps 1000 100)"
whole whole-cv "$@"
struck 'lds cv' whole-cv 'cv.csv cv.svg' "$@"
set -- plds cv counts.npy -d 1,2,3 --folds 6 --iters "$(steps 100 10)"
whole whole-cv2 "$@"
struck 'plds cv' whole-cv2 'cv.csv cv.svg' "$@"
set -- flds cv counts.npy -d 1,2 --folds 3 --recipe smooth --steps 10
whole whole-cv3 "$@"
struck 'flds cv' whole-cv3 'cv.csv cv.svg' "$@"
unset VDI_TEST_CHECKPOINT_MS
# more asked for of a run that is finished: the bits of the longer run
exits 0 'plds fit, longer' "$vdi" plds fit counts.npy -d 2 --iters "$(steps 3100 310)" --out longer --quiet
exits 0 'plds fit, more asked for' "$vdi" plds fit --resume whole-plds --iters "$(steps 3100 310)" --quiet
for f in model.safetensors trace.npy; do same longer/$f whole-plds/$f; done
exits 0 'lds fit, longer' "$vdi" lds fit y.csv -d 2 --iters "$(steps 4100 410)" --out longer --quiet
exits 0 'lds fit, more asked for' "$vdi" lds fit --resume whole-lds --iters "$(steps 4100 410)" --quiet
for f in A.npy trace.npy; do same longer/$f whole-lds/$f; done
exits 0 'sacd train, longer' "$vdi" sacd train --env pendulum --hidden 16,16 --batch 16 --start 50 --steps "$(steps 30500 2500)" --out longer --quiet
exits 0 'sacd train, more asked for' "$vdi" sacd train --resume whole-sacd --steps "$(steps 30500 2500)" --quiet
for f in agent.safetensors log.csv; do same longer/$f whole-sacd/$f; done

# ends NAME COMMAND...: SIGINT and SIGTERM end it within a second, with 130 and 143
ends() {
    name=$1
    shift
    for signal in INT TERM; do
        for delay in 0.1 0.05 0.02; do # a fast machine is done before a late signal
            "$vdi" "$@" --quiet >out.txt 2>err.txt &
            pid=$!
            sleep $delay
            before=$(date +%s%N)
            kill -$signal $pid 2>/dev/null
            wait $pid
            code=$?
            took=$((($(date +%s%N) - before) / 1000000))
            [ $code -eq 0 ] || break
        done
        expected=$([ $signal = INT ] && echo 130 || echo 143)
        [ $code -eq $expected ]
        ok "$name ends with $expected by $signal, got $code" $?
        [ $took -lt $((1500 * patience)) ] # a second, and some for a machine that has other work
        ok "$name ends within a second of $signal: $took ms" $?
    done
}
exits 0 'long data' "$vdi" spikes simulate --cells 4000 --traces 700 --frames 4 --out long --quiet
exits 0 'many traces' "$vdi" spikes simulate --cells 60 --traces 50 --frames 2000 --out many --quiet
{
    printf '\223NUMPY\001\000v\000%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': (10000, 30, 5), }"
    head -c 1500000 /dev/zero | tr '\000' '\001'
} >wide.npy
ones() { printf '\223NUMPY\001\000v\000%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': ($1, 1, 1), }" && head -c "$1" /dev/zero | tr '\000' "$2"; }
ones 3000000 '\004' >diagonal.npy
ones 2999999 '\001' >below.npy
awk 'BEGIN { print "time,unit"; for (i = 0; i < 400000; i++) print i / 100 "," i % 100 }' >many.csv
ends 'lds smooth' lds smooth long/traces.npy --params a --out e1
ends 'lds score' lds score long/traces.npy --params a
ends 'lds fit' lds fit long/traces.npy -d 4 --iters 100000 --out e2
ends 'lds forecast' lds forecast long/traces.npy --params a --horizon 5 --out e9
ends 'lds sample' lds sample --params a --trials 10000 --bins 1000 --out e10
ends 'lds cv' lds cv wide.npy -d 1,2 --folds 3 --iters 100000 --out e11
ends 'plds fit' plds fit counts.npy -d 2 --iters 100000000 --out e12
ends 'plds infer' plds infer p wide.npy --out e13
ends 'plds score' plds score p wide.npy --lno
ends 'plds predict' plds predict p wide.npy --out e14
ends 'plds cv' plds cv wide.npy -d 1,2 --folds 3 --iters 100000 --out e15
ends 'flds fit' flds fit counts.npy $small --steps 1000000 --out e3
ends 'flds infer' flds infer f counts.npy --refine 1000000 --samples 100000 --out e4
ends 'flds score' flds score f counts.npy --iw 1000000
ends 'flds cv' flds cv counts.npy -d 1,2 --folds 3 --steps 1000000 --out e16
ends 'vilds fit' vilds fit counts.npy $small --posterior meanfield --steps 1000000 --out e17
ends 'vilds infer' vilds infer f counts.npy --refine 1000000 --out e18
ends 'vilds score' vilds score f counts.npy --particles 10000000
ends 'spikes simulate' spikes simulate --cells 1000 --traces 100 --frames 5000 --out e19
ends 'spikes score' spikes score long/traces.npy long/traces.npy --fps 60
ends 'spikes spine' spikes spine dendrite.csv spine.csv --fps 60 --steps 100000 --out e20
ends 'spikes fit of the network in the box' spikes fit line/traces.npy --fps 60 --init pretrained --steps 100000 --out e21
ends 'spikes infer' spikes infer many/traces.npy --fps 60 --out e5
ends 'spikes infer by OASIS' spikes infer many/traces.npy --fps 60 --method oasis-ar2 --refine 100 --out e6
ends 'spikes fit' spikes fit line/traces.npy --fps 60 --steps 100000 --out e7
ends 'sacd train' sacd train --env lander --steps 10000000 --out e8
ends 'sacd eval' sacd eval whole-sacd --episodes 1000000
ends 'sacd inspect' sacd inspect whole-sacd --episodes 1000
ends 'sacd compare' sacd compare whole-sacd whole-sacd --episodes 1000000
ends blocktri blocktri diagonal.npy below.npy --out e22
ends counts counts many.csv --bin 0.02 --out e23
ends demo demo
for f in */*.part */.lock; do [ ! -e "$f" ]; ok "$f is left behind" $?; done
# a process that is refused leaves the lock of its holder alone
"$vdi" lds fit long/traces.npy -d 4 --iters 100000 --out held --quiet >held.txt 2>&1 &
pid=$!
while [ ! -e held/.lock ] && kill -0 $pid 2>/dev/null; do sleep 0.1; done
exits 1 'a folder in use' "$vdi" lds fit y.csv -d 2 --iters 1 --out held
exits 1 'a folder still in use' "$vdi" lds fit y.csv -d 2 --iters 1 --out held
[ -e held/.lock ]
ok 'the lock belongs to its holder' $?
kill $pid
wait $pid
if [ -e /dev/full ]; then
    for c in --version --help 'lds --help' info 'info --json' 'lds score y.csv --params a'; do
        "$vdi" $c >/dev/full 2>err.txt
        code=$?
        [ $code -eq 1 ]
        ok "$c to a full disk: exit $code, expected 1" $?
    done
fi

# ---- the best agent of a run ---------------------------------------------------------------------------------------------------
set -- --env pendulum --hidden 16,16 --batch 16 --start 50 --steps 1200 --eval-every 200 --eval-episodes 3 --quiet
exits 0 'a run with evaluations' "$vdi" sacd train "$@" --out judged
exits 0 'its best agent, on the episodes of the evaluations' "$vdi" sacd eval judged/best.safetensors --episodes 3 --json --quiet
best=$(awk -F, 'NR > 1 && (NR == 2 || $2 > m) { m = $2 } END { printf "%.6g", m }' judged/eval.csv)
awk -F'[:,]' -v m="$best" '{ exit !(sprintf("%.6g", $2) == m) }' out.txt
ok "best of eval.csv is $best, best.safetensors has $(head -c 60 out.txt)" $?
"$vdi" sacd train "$@" --out again >/dev/null 2>&1 &
half=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -s again/best.safetensors ] && break; sleep 0.05; done
kill -9 $half 2>/dev/null
wait $half 2>/dev/null
exits 0 'resumed after kill -9' "$vdi" sacd train --resume again --quiet
for f in best.safetensors agent.safetensors eval.csv; do same judged/$f again/$f; done
exits 2 'a page of a file needs a place' "$vdi" sacd inspect judged/best.safetensors

# ---- vdi sacd inspect -------------------------------------------------------------------------------------------------------

exits 0 'an agent to look into' "$vdi" sacd train --env pendulum --hidden 16,16 --batch 16 --start 50 --steps 400 --out look --quiet
exits 0 inspect "$vdi" sacd inspect look --episodes 2 --quiet --json --what-if 0.3,2,0.1 --at 1,40
cp out.txt look.json
[ "$(wc -l <look.json)" = 1 ] && grep -q '"angle": {"influence"' look.json && grep -q '"what_if": {"episode": 1, "step": 40' look.json
ok 'inspect prints one line of JSON' $?
grep -q '"steps": 400' look/run.json || grep -q '"steps": "400"' look/run.json
ok 'the run.json of the training stays' $?
exits 2 'weights of another reward' "$vdi" sacd inspect look --what-if 1,2
exits 2 'a step that is not there' "$vdi" sacd inspect look --episodes 1 --what-if 1,1,1 --at 3,0
if command -v chromium >/dev/null; then
    timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --user-data-dir="$PWD/browser" --dump-dom \
        "file://$PWD/look/inspect.html#e=1&t=40&w=0.3,2,0.1,1" >dom.html 2>/dev/null
    shown=$(sed -n 's/.*<output id="action"[^>]*data-value="\([^"]*\)".*/\1/p' dom.html)
    called=$(sed -n 's/.*"what_if":.*"value": \([^,]*\),.*/\1/p' look.json)
    [ -n "$shown" ] && awk -v a="$shown" -v b="$called" 'BEGIN { exit !(a + 0 == b + 0) }'
    ok "sliders of the page show the action that the library's call finds: value $shown, $called" $?
fi

# ---- an array job of eight tasks, three of them killed ----------------------------------------------------------------------

exits 0 'traces of many' "$vdi" spikes simulate --model mlphys --cells 24 --traces 1 --frames 9000 --fps 30 --seed 5 --out many --quiet
exits 0 'the job in one piece' "$vdi" spikes infer many/traces.npy --fps 30 --out undivided --report 0 --quiet
task() { SLURM_ARRAY_TASK_ID=$1 SLURM_ARRAY_TASK_COUNT=8 VDI=$vdi sh "$repository/examples/slurm/spikes.sh" many/traces.npy 30; }
for i in 1 2 3 4 5 6 7 8; do
    case $i in
    2 | 5 | 7)
        mkdir -p parts
        SLURM_ARRAY_TASK_ID=$i SLURM_ARRAY_TASK_COUNT=8 VDI=$vdi sh "$repository/examples/slurm/spikes.sh" many/traces.npy 30 >out.txt 2>&1 &
        victim=$!
        n=0
        while [ ! -f parts/$i/run.json ] && [ $n -lt 600 ]; do sleep 0.02; n=$((n + 1)); done
        kill -9 $victim 2>/dev/null
        wait $victim 2>/dev/null
        ;;
    *) task $i >out.txt 2>&1; ok "task $i" $? ;;
    esac
done
exits 1 'parts that are not finished' "$vdi" merge parts/* --out early
for i in 2 5 7 3; do task $i >out.txt 2>&1; ok "task $i again: $(tail -n 1 out.txt)" $?; done
exits 0 'the parts as one run' "$vdi" merge parts/8 parts/7 parts/6 parts/5 parts/4 parts/3 parts/2 parts/1 --out joined --quiet
for f in spikes.npy probability.npy denoised.npy params.csv quality.csv; do same undivided/$f joined/$f; done
exits 1 'a part is missing' "$vdi" merge parts/1 parts/2 --out broken
exits 1 'a part twice' "$vdi" merge parts/1 parts/2 parts/3 parts/4 parts/5 parts/6 parts/7 parts/7 --out broken
exits 1 'no part' "$vdi" merge undivided --out broken

# ---- standard input, the manual, completion ------------------------------------------------------------------------------

exits 0 'fit of a file' "$vdi" lds fit y.csv -d2 --iters 3 --out piped_a --quiet
cat y.csv | "$vdi" lds fit - --dim=2 --iters 3 --out piped_b --quiet >out.txt
ok 'fit of standard input' $?
same piped_a/trace.npy piped_b/trace.npy
cat a/C.npy | "$vdi" lds fit - -d 1 --iters 2 --out piped_c --quiet >out.txt
ok 'an array on standard input' $?
exits 1 'nothing on standard input' sh -c "'$vdi' lds fit - -d 1 --iters 1 --out piped_d </dev/null"
exits 2 'an empty path' "$vdi" lds fit y.csv -d 1 --iters 1 --out ''
exits 0 manual "$vdi" man
cp out.txt vdi.1
[ "$(grep -c '^\.SS vdi ' vdi.1)" -eq "$("$vdi" --help | grep -cE '^  [a-z]+ [a-z]* +[A-Z]')" ]
ok 'the manual has every command' $?
if command -v man >/dev/null; then
    warned=$(LC_ALL=C man --warnings -E UTF-8 -l -Tutf8 -Z ./vdi.1 2>&1 >/dev/null)
    [ -z "$warned" ]
    ok "the manual is formatted without a warning: $warned" $?
fi
for shell in bash zsh fish; do exits 0 "completion $shell" "$vdi" completion $shell; cp out.txt completion.$shell; done
exits 2 'completion of no shell' "$vdi" completion ksh
if command -v bash >/dev/null; then
    found=$(bash -c '. ./completion.bash
        t() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _vdi; echo "${COMPREPLY[*]}"; }
        t vdi ld; t vdi lds fo; t vdi lds fit --it; t vdi flds fit --obs neg; t vdi lds fit completion.ba' | tr '\n' ' ')
    [ "$found" = 'lds forecast --iters negbin completion.bash ' ]
    ok "bash completes: $found" $?
fi
if command -v zsh >/dev/null; then
    found=$(zsh -f -c 'compdef() { }; . ./completion.zsh; _vdi_words flds fit --obs ""; echo $REPLY; _vdi_verbs sacd; echo $REPLY' | tr '\n' ' ')
    case $found in *negbin*train*) rc=0 ;; *) rc=1 ;; esac
    ok "zsh completes: $found" $rc
fi
if command -v fish >/dev/null; then
    found=$(fish -c 'source completion.fish; complete -C "vdi lds fit --it"; complete -C "vdi flds fit --obs neg"' | cut -f1 | tr '\n' ' ')
    [ "$found" = '--iters negbin ' ]
    ok "fish completes: $found" $?
fi

exits 0 demo "$vdi" demo --quick --out page --quiet
[ -s page/index.html ]
ok 'demo wrote its page' $?
echo "tool: $passed passed, $failed failed"
[ $failed -eq 0 ]
