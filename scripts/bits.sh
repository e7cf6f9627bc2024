#!/bin/sh
# Proves that a change of the code changes no number: records what the tool writes, compares it.
#     bits.sh [-p "PATH ..."] [-f "FAMILY ..."] [-k FOLDER] TOOL RECORD     run the commands of TOOL
#     bits.sh --compare [--all] RECORD RECORD                               exit 1 if they differ
# PATH is a SIMD path (scalar, avx2, avx512; one the processor lacks is left out), FAMILY one of
# those below; -k keeps what was written, as FOLDER/PATH/COMMAND. The lines of a record are
# "PATH COMMAND FILE HASH", sorted, in three sections:
#     numbers   exit status, arrays, tables, every tensor of a saved state, every value of a JSON
#     settings  run.json and the metadata of saved states
#     pictures  SVG and HTML
# --compare takes the numbers alone, with --all everything, for the paths and families that both
# records have. The version and names that end in "seconds" are left out; values of a JSON are not
# hashed. The data are made here, by arithmetic that is exact. The tool's own is not the same on all
# machines and compilers (libm, contraction to FMA): compare records of one machine and compiler.
set -eu
export LC_ALL=C
FAMILIES="blocktri lds vilds flds spikes sacd demo"
PATHS="scalar avx2 avx512"

usage() {
    cat >&2 << END
bits.sh [-p "PATH ..."] [-f "FAMILY ..."] [-k FOLDER] TOOL RECORD
bits.sh --compare [--all] RECORD RECORD
paths: $PATHS
families: $FAMILIES
END
    exit 2
}
die() {
    echo "bits: $*" >&2
    exit 2
}

# ---- data ---------------------------------------------------------------------------------------

# numbers SEED PROGRAM: what the program prints. latent() moves a damped rotation (a, b) on,
# mix(j, n) is channel j's view of it, chance() maps a real number into (0, 1).
numbers() {
    awk -v seed="$1" '
    function uniform() { seed = seed * 16807 % 2147483647; return seed / 2147483647 }
    function normal(   k, sum) { sum = -6; for (k = 0; k < 12; k++) sum += uniform(); return sum }
    function put(x) { printf "%.10f\n", int(x * 1024) / 1024 } # a float32 holds it exactly
    function restart() { a = normal(); b = normal() }
    function latent(   c) {
        c = .92 * a - .3 * b + .3 * normal()
        b = .3 * a + .92 * b + .3 * normal()
        a = c
    }
    function mix(j, n) { return (j + 1) / n * a - (n - j) / n * b + (j % 3 == 1) * .5 * a }
    function chance(x) { return .5 + .5 * x / (1 + (x < 0 ? -x : x)) }
    function count(most, p,   k, sum) {
        sum = 0
        for (k = 0; k < most; k++) sum += uniform() < p
        return sum
    }
    BEGIN { for (warm = 0; warm < 9; warm++) uniform(); '"$2"' }'
}

# npy TYPE SHAPE [ORDER] < numbers > FILE.npy: TYPE <f4 <f8, or |u1 <i2 <i8 for numbers >= 0; ORDER
# "True " is that of Fortran
npy() {
    printf '\223NUMPY\001\000v\000%-117s\n' \
        "{'descr': '$1', 'fortran_order': ${3:-False}, 'shape': ($2), }"
    printf '%b' "$(awk -v type="$1" '
    function bytes(v, n) { for (; n > 0; n--) { printf "\\0%03o", v % 256; v = int(v / 256) } }
    function real(x, size,   unit, exponent, sign) { # IEEE 754
        unit = size == 4 ? 8388608 : 1048576 # of the exponent, in the word that has it
        sign = substr(x, 1, 1) == "-" ? 2147483648 : 0
        if (size == 8 && x == "nan") bytes(0, 4)
        if (x == "nan") { bytes(size == 4 ? 2143289344 : 2146959360, 4); return }
        if (x < 0) x = -x
        if (x == 0) { bytes(0, size); return }
        for (exponent = size == 4 ? 127 : 1023; x >= 2; exponent++) x /= 2
        for (; x < 1; exponent--) x *= 2
        x = (x - 1) * unit
        if (size == 8) bytes((x - int(x)) * 4294967296, 4)
        bytes(sign + exponent * unit + int(x), 4)
    }
    { size = substr(type, 3) }
    type ~ /f/ { real($1, size) }
    type !~ /f/ { bytes($1, size) }')"
}

# Observations of two latents, by trial, bin and channel: real, some missing; counts; inputs.
data_latent() {
    real='for (i = 0; i < trials; i++) {
        restart()
        for (t = 0; t < 30; t++) {
            latent()
            for (j = 0; j < n; j++)
                if (uniform() < lost) print "nan"
                else put(mix(j, n) + .4 * normal())
        }
    }'
    numbers 11 "trials = 6; n = 5; lost = 0; $real" > y
    npy '<f8' '6, 30, 5' < y > y.npy
    npy '<f8' '6, 30, 5' 'True ' < y > fortran.npy
    numbers 12 "trials = 6; n = 5; lost = .15; $real" | npy '<f4' '6, 30, 5' > missing.npy
    numbers 13 "trials = 1; n = 5; lost = .1; $real" | paste -d, - - - - - > single.csv
    numbers 14 "trials = 3; n = 19; lost = 0; $real" | npy '<f8' '3, 30, 19' > wide.npy
    numbers 15 'for (t = 0; t < 60; t++) {
        latent()
        for (j = 0; j < 3; j++) put(j == 2 ? x : x = .02 * t * t * (j + 1) + a * .1)
    }' | paste -d, - - - > trend.csv
    counts='for (i = 0; i < trials; i++) {
        restart()
        for (t = 0; t < 20; t++) {
            latent()
            for (j = 0; j < 6; j++) print count(most, share * chance(2 * mix(j, 6)))
        }
    }'
    numbers 21 "trials = 8; most = 5; share = .5; $counts" | npy '|u1' '8, 20, 6' > counts.npy
    numbers 22 "trials = 5; most = 5; share = .5; $counts" | npy '<i2' '5, 20, 6' > other.npy
    numbers 23 "trials = 12; most = 2; share = .1; $counts" | npy '<i8' '12, 20, 6' > few.npy
    numbers 24 "trials = 8; most = 1; share = .6; $counts" | npy '|u1' '8, 20, 6' > binary.npy
    numbers 25 'for (i = 0; i < 6 * 30 * 2; i++) put(normal())' | npy '<f8' '6, 30, 2' > inputs.npy
    numbers 26 'for (i = 0; i < 8 * 20 * 2; i++) put(normal())' | npy '<f4' '8, 20, 2' > drive.npy
    numbers 27 'for (i = 0; i < 960; i++) put(.2 * normal())' | npy '<f8' '8, 20, 6' > offset.npy
    printf '%s\n' 30 17 1 24 30 9 | npy '<i8' '6,' > lengths.npy
    printf '%s\n' 20 13 20 7 2 20 16 20 | npy '<i2' '8,' > ragged.npy
}

# Models for `lds --params`: one with a matrix R; one with a diagonal R, and with inputs.
data_lds_model() {
    mkdir model driven
    printf '%s\n' .9 -.25 .25 .9 | npy '<f8' '2, 2' > model/A.npy
    printf '%s\n' .3 .1 .1 .25 | npy '<f8' '2, 2' > model/Q.npy
    printf '%s\n' .5 -.25 | npy '<f8' '2,' > model/x0.npy
    printf '%s\n' 1 .2 .2 2 | npy '<f8' '2, 2' > model/Q0.npy
    numbers 31 'for (i = 0; i < 10; i++) put(normal())' | npy '<f8' '5, 2' > model/C.npy
    numbers 32 'for (i = 0; i < 5; i++) put(.5 * normal())' | npy '<f8' '5,' > model/b.npy
    numbers 33 '
        for (i = 0; i < 5; i++)
            for (j = 0; j <= i; j++) r[i, j] = r[j, i] = .1 * normal() + (i == j)
        for (i = 0; i < 25; i++) put(r[int(i / 5), i % 5])' | npy '<f8' '5, 5' > model/R.npy
    cp model/*.npy driven
    printf '%s\n' .5 .75 1 1.25 .625 | npy '<f8' '5,' > driven/R.npy
    numbers 34 'for (i = 0; i < 4; i++) put(.4 * normal())' | npy '<f8' '2, 2' > driven/B.npy
    numbers 35 'for (i = 0; i < 10; i++) put(.4 * normal())' | npy '<f8' '5, 2' > driven/D.npy
}

# data_system SEED T d: a block-tridiagonal matrix, a right-hand side, and noise
data_system() {
    numbers "$1" "T = $2; d = $3"'
        for (t = 0; t < T; t++) {
            for (i = 0; i < d; i++)
                for (j = 0; j <= i; j++) m[i, j] = m[j, i] = .3 * normal() + (i == j) * 2 * d
            for (i = 0; i < d * d; i++) put(m[int(i / d), i % d])
        }' | npy '<f8' "$2, $3, $3" > "D$3.npy"
    numbers "$1" "for (i = 0; i < ($2 - 1) * $3 * $3; i++) put(.4 * normal())" |
        npy '<f8' "$(($2 - 1)), $3, $3" > "E$3.npy"
    numbers "$1" "for (i = 0; i < $2 * $3; i++) put(normal())" | npy '<f8' "$2, $3" > "rhs$3.npy"
    numbers "1$1" "for (i = 0; i < $2 * $3; i++) put(normal())" | npy '<f8' "$2, $3" > "eps$3.npy"
}

# cells SEED COUNT PROGRAM: at each frame of each cell (i) there are s spikes, calcium c, drift walk
cells() {
    numbers "$1" "for (i = 0; i < $2; i++) { c = walk = 0; for (t = 0; t < 400; t++) {
        s = count(3, .02); c = .94 * c + s; walk += .01 * normal(); $3 } }"
}

# Fluorescence: 3 cells with their spikes; one constant and one with gaps; one alone; 2 spines.
data_traces() {
    cells 41 3 'put(40 + 9 * (i + 1) * c + 5 * walk + 4 * normal())' |
        npy '<f4' '3, 400' > traces.npy
    cells 41 3 'print s; normal()' | npy '|u1' '3, 400' > spikes.npy
    cells 42 3 'if (i == 1) put(7)
        else if (i == 2 && (t % 90 < 12 || t == 200)) print "nan"
        else put(2 + c + walk + .3 * normal())' | npy '<f8' '3, 400' > holes.npy
    cells 43 1 'put(1 + .8 * c + walk + .2 * normal())' > column.csv
    cells 44 2 'put(2 + c + .2 * normal())' | npy '<f8' '2, 400' > dendrite.npy
    cells 45 2 'put(1 + 2 * c + .2 * normal())' | npy '<f8' '2, 400' > spine.npy
}

# An environment behind a pipe (docs/guide/environments.md): it observes the last action, and pays 0.5 and -1.
data_server() {
    cat > server.sh << 'END'
steps=0
message() { dd bs="$1" count=1 2> /dev/null; }
while kind=$(message 4) && [ -n "$kind" ]; do
    case $kind in
    HELO)
        message 16 > /dev/null
        printf 'INFO\053\000\000\000vdi-env\n\001\000\000\000\001\000\000\000\001\000\000\000'
        printf '\002\000\000\000\024\000\000\000echo\000\000\000one\000two\000'
        ;;
    RSET)
        message 20 > /dev/null
        printf 'OBSV\004\000\000\000\000\000\200\076'
        ;;
    STEP)
        message 4 > /dev/null
        steps=$((steps + 1)) end='\000'
        [ $((steps % 20)) -eq 0 ] && end='\002'
        printf "TRAN\\020\\000\\000\\000$end\\000\\000\\000\\000\\000\\000\\077\\000\\000\\200\\277"
        message 4
        ;;
    *) exit ;;
    esac
done
END
}

# ---- commands -----------------------------------------------------------------------------------

# run NAME ARGUMENT...: one command of the tool, in the folder of this path
run() {
    name=$1
    shift
    status=0
    "$tool" "$@" --simd "$path" --quiet > "$name.stdout" 2> "$name.stderr" < /dev/null || status=$?
    echo "$name $status" >> commands
    [ $status -eq 0 ] ||
        echo "bits: $path $name: exit status $status: $(tail -n 1 "$name.stderr")" >&2
}
say() { run "$@" --json; }             # its JSON
out() { run "$@" --json --out "$1"; }  # and its files, in a folder of its name

run_blocktri() {
    D=../data
    out blocktri-3 blocktri $D/D3.npy $D/E3.npy --rhs $D/rhs3.npy --eps $D/eps3.npy
    out blocktri-11 blocktri $D/D11.npy $D/E11.npy --rhs $D/rhs11.npy --seed 4
}

run_lds() {
    D=../data
    out lds-smooth lds smooth $D/y.npy --params $D/model
    out lds-smooth-kalman lds smooth $D/y.npy --params $D/model --kalman
    out lds-smooth-missing lds smooth $D/missing.npy --params $D/model --lengths $D/lengths.npy
    out lds-smooth-inputs lds smooth $D/missing.npy --params $D/driven --inputs $D/inputs.npy
    out lds-smooth-threads lds smooth $D/missing.npy --params $D/model --threads 2
    out lds-fit lds fit $D/y.npy -d 2 --iters 12
    out lds-fit-missing lds fit $D/missing.npy -d 2 --iters 12 --lengths $D/lengths.npy --threads 2
    out lds-fit-diagonal lds fit $D/single.csv -d 3 --iters 12 --diagonal-r --seed 2
    out lds-fit-inputs lds fit $D/y.npy -d 2 --iters 8 --inputs $D/inputs.npy
    out lds-fit-trend lds fit $D/trend.csv -d 2 --iters 10
    out lds-fit-wide lds fit $D/wide.npy -d 7 --iters 5
    out lds-fit-init lds fit $D/y.npy --init $D/model --iters 5
    out lds-fit-from lds fit --from lds-fit-wide/run.json --seed 3
    out lds-smooth-wide lds smooth $D/wide.npy --params lds-fit-wide
    cp -R lds-fit lds-fit-resume
    say lds-fit-resume lds fit --resume lds-fit-resume --iters 20
    say lds-score lds score $D/y.npy --params $D/model
    say lds-score-missing lds score $D/missing.npy --params $D/model --lengths $D/lengths.npy
    say lds-score-inputs lds score $D/missing.npy --params $D/driven --inputs $D/inputs.npy
    say lds-score-wide lds score $D/wide.npy --params lds-fit-wide
    run lds-score-text lds score $D/fortran.npy --params $D/model
}

# latent_verbs NAME DATA OPTIONS SCORE-OPTIONS FIT-OPTION...: fit, infer and score of $family
latent_verbs() {
    what=$1 data=$2 all=$3 score=$4
    shift 4
    fit=$family-fit-$what
    out $fit $family fit "$data" $SMALL $all "$@"
    out $family-infer-$what $family infer $fit "$data" $all --refine 3 --samples 2
    out $family-score-$what $family score $fit "$data" $all --refine 2 --iw 5 $score
}
SMALL="-d 2 --hidden 9 --encoder-hidden 7 --steps 25 --restarts 2 --restart-steps 8 --batch 3"

run_vilds() {
    D=../data
    for posterior in product direct meanfield; do
        latent_verbs gaussian-$posterior $D/missing.npy '' '' --obs gaussian --posterior $posterior
        latent_verbs poisson-$posterior $D/counts.npy '' '' --recipe dense --posterior $posterior
    done
    latent_verbs ragged $D/counts.npy "--lengths $D/ragged.npy --offset $D/offset.npy" '' \
        --recipe smooth --mask-rate 0 --window 6 --label $D/ragged.npy
    latent_verbs inputs $D/counts.npy "--inputs $D/drive.npy" '' \
        --recipe dense --untied --free-start yes
    latent_verbs bin-width $D/counts.npy '' '' --recipe dense --bin-width .5
    latent_verbs transition $D/counts.npy '' '' \
        --recipe dense --transition 6 --posterior direct --skip --samples 2
    latent_verbs double $D/y.npy '' '' --obs gaussian --double --threads 2 --reach 1 --a0 .8
    latent_verbs wide $D/wide.npy '' '' --obs gaussian --hidden 33,17 --encoder-hidden 40,24 -d 5
    cp -R vilds-fit-poisson-product vilds-fit-resume
    say vilds-fit-resume vilds fit --resume vilds-fit-resume --steps 35
}

run_flds() {
    D=../data both='--lno --one-step'
    for obs in poisson gc negbin; do
        latent_verbs $obs $D/counts.npy '' "$both" --recipe dense --obs $obs
    done
    latent_verbs bernoulli $D/binary.npy '' "$both" --recipe dense --obs bernoulli
    latent_verbs gaussian $D/missing.npy '' '' --obs gaussian
    latent_verbs softplus $D/counts.npy '' "$both --refine-predict 1" \
        --recipe smooth --link softplus --posterior meanfield
    latent_verbs linear $D/counts.npy '' \
        "$both --rates-out flds-score-linear/rates.npy" --hidden none
    latent_verbs val $D/counts.npy "--lengths $D/ragged.npy" "$both --threads 2" \
        --recipe sparse --val $D/other.npy --eval-every 5 --patience 3 --weight-decay .1
    latent_verbs plds $D/counts.npy '' "$both" --recipe plds --em 4 --obs gc
    latent_verbs auto-few $D/few.npy '' --lno --recipe auto --em 3
    latent_verbs auto-many $D/counts.npy '' --one-step --recipe auto --threads 2
    latent_verbs sparse $D/few.npy '' --lno --recipe sparse --scale .5 --open .2 --rate .01
}

run_spikes() {
    D=../data few='--steps 12 --batch 3 --samples 6'
    for model in linear ar2 scdf mlphys; do
        out spikes-simulate-$model spikes simulate --model $model --cells 2 --traces 2 \
            --frames 300 --drift .1
        out spikes-fit-$model spikes fit $D/traces.npy --fps 30 --model $model $few
    done
    out spikes-simulate-spine spikes simulate --model spine --cells 2 --traces 1 --frames 300
    out spikes-simulate-slow spikes simulate --model mlphys --cells 2 --frames 100 --fps 8 \
        --rate 2,9 --seed 3
    run_spikes_fit
    run_spikes_infer
    out spikes-spine spikes spine $D/dendrite.npy $D/spine.npy --fps 30 $few
    out spikes-spine-vimco spikes spine $D/dendrite.npy $D/spine.npy --fps 30 --estimator vimco $few
    say spikes-score spikes score spikes-infer/spikes.npy $D/spikes.npy --fps 30
    say spikes-score-one spikes score spikes-infer-oasis/spikes.npy $D/spikes.npy --fps 30 \
        --one-neuron
}

run_spikes_fit() {
    out spikes-fit-correlated spikes fit $D/traces.npy --fps 30 --posterior correlated \
        --threads 2 $few
    for estimator in reinforce concrete wake-sleep; do
        out spikes-fit-$estimator spikes fit $D/holes.npy --fps 30 --estimator $estimator $few
    done
    out spikes-fit-correlated-vimco spikes fit $D/holes.npy --fps 10 --upsample 2 --drift 0 \
        --posterior correlated --estimator vimco --model scdf $few
    out spikes-fit-truth spikes fit $D/traces.npy --fps 30 --truth $D/spikes.npy $few
    out spikes-fit-truth-correlated spikes fit $D/traces.npy --fps 30 --truth $D/spikes.npy \
        --posterior correlated $few
    out spikes-fit-amplitude spikes fit $D/traces.npy --fps 15 --amplitude --rate 2 \
        --learning-rate .002 $few
    out spikes-fit-pretrained spikes fit $D/traces.npy --fps 30 --init pretrained \
        --steps 3 --batch 2 --samples 4
    out spikes-fit-init spikes fit $D/traces.npy --fps 30 \
        --init spikes-fit-linear/model.safetensors $few --seed 5
    cp -R spikes-fit-scdf spikes-fit-resume
    say spikes-fit-resume spikes fit --resume spikes-fit-resume --steps 16
}

run_spikes_infer() {
    out spikes-infer spikes infer $D/traces.npy --fps 30 --grid 60 --samples 2 --truth $D/spikes.npy
    out spikes-infer-holes spikes infer $D/holes.npy --fps 15.5 --threads 2
    out spikes-infer-fast spikes infer $D/column.csv --fps 100 --grid 60
    for method in oasis oasis-ar2; do
        out spikes-infer-$method spikes infer $D/traces.npy --fps 30 --method $method
        out spikes-infer-$method-holes spikes infer $D/holes.npy --fps 30 --method $method \
            --tau-d .5 --threads 2
        out spikes-infer-$method-l0 spikes infer $D/column.csv --fps 30 --method $method \
            --penalty l0 --refine 3 --spike-size .8
    done
    out spikes-infer-oasis-refine spikes infer $D/traces.npy --fps 30 --method oasis --refine 2
    out spikes-infer-oasis-given spikes infer $D/traces.npy --fps 30 --method oasis \
        --tau-d .6 --lambda 2 --noise 4 --baseline 40
    out spikes-infer-model spikes infer $D/traces.npy --fps 30 --model spikes-fit-linear --grid 60
    out spikes-infer-model-samples spikes infer $D/column.csv --fps 30 \
        --model spikes-fit-correlated --samples 3
    out spikes-infer-model-pretrained spikes infer $D/traces.npy --fps 30 \
        --model spikes-fit-pretrained
}

run_sacd() {
    D=../data net='--hidden 16,12 --batch 20 --start 60'
    for algo in sac-d sac-d-naive sac-d-cagrad sac; do
        out sacd-train-$algo sacd train --env pendulum --algo $algo --steps 420 $net
        weights=1,0.5,2
        [ $algo != sac ] || weights=2
        out sacd-inspect-$algo sacd inspect sacd-train-$algo --episodes 1 --candidates 4 \
            --what-if $weights --at 0,7
    done
    out sacd-train-lander sacd train --env lander --steps 600 $net --threads 2 \
        --eval-every 300 --eval-episodes 2
    out sacd-train-navigate sacd train --env navigate --steps 500 $net --weights 1,2,0.5,0 \
        --update-every 2 --last-rate .00001 --tau .02 --capacity 200
    out sacd-train-options sacd train --env lander --steps 500 $net --algo sac-d-cagrad \
        --cagrad-c .3 --entropy-at-terminals --target-entropy -1.5 --gamma .97 --rate .002 --seed 7
    out sacd-train-alpha sacd train --env pendulum --steps 420 $net --algo sac --alpha .1
    out sacd-train-wide sacd train --env lander --steps 220 --start 200
    out sacd-train-pipe sacd train --env-cmd "sh $D/server.sh" --steps 100 \
        --hidden 8,8 --batch 8 --start 20
    cp -R sacd-train-sac-d sacd-train-resume
    say sacd-train-resume sacd train --resume sacd-train-resume --steps 420
    for agent in sac-d sac lander navigate; do
        say sacd-eval-$agent sacd eval sacd-train-$agent --episodes 2
    done
    say sacd-eval-best sacd eval sacd-train-lander/best.safetensors \
        --episodes 2 --env lander --seed 3
    say sacd-eval-pipe sacd eval sacd-train-pipe --episodes 2 --env-cmd "sh $D/server.sh"
    for agent in lander navigate; do
        out sacd-inspect-$agent sacd inspect sacd-train-$agent --episodes 1 --candidates 3 \
            --deterministic
    done
    say sacd-envs sacd envs
}

run_demo() { run demo demo --quick --out demo; }

# ---- what a command left ------------------------------------------------------------------------

# flatten PREFIX < JSON: a line "PREFIXkey/.../key value" for each value
flatten() {
    awk -v prefix="$1" '
    function text(   from) { # of the string that begins at i; moves i behind it
        from = ++i
        while (i <= length(s) && substr(s, i, 1) != "\"") i += substr(s, i, 1) == "\\" ? 2 : 1
        return substr(s, from, i++ - from)
    }
    function put(key, v) {
        gsub(/[ \t]/, "_", key)
        gsub(/[ \t]/, "_", v)
        print prefix substr(key, 2), v == "" ? "-" : v
    }
    function skip(what) { while (i <= length(s) && substr(s, i, 1) ~ what) i++ }
    function value(key,   c, n, from) {
        skip("[ ,:\t\n]")
        c = substr(s, i, 1)
        if (c == "\"") put(key, text())
        else if (c == "{" || c == "[") {
            i++
            for (n = 0; i <= length(s); n++) {
                skip("[ ,:\t\n]")
                if (substr(s, i, 1) ~ /[]}]/) break
                value(key "/" (c == "{" ? text() : n))
            }
            i++
            if (n == 0) put(key, c)
        } else {
            from = i
            skip("[^], }\t\n]")
            put(key, substr(s, from, i - from))
        }
    }
    { s = s $0 "\n" }
    END { i = 1; value("") }'
}

# lines SECTION: "FILE HASH" becomes "PATH COMMAND FILE HASH"
lines() { awk -v head="$path $name" '{ print head, $1, $2 }' >> "$sections/$1"; }

# whole SECTION FILE
whole() {
    sha256sum < "$2" | awk -v file="${2##*/}" '{ print file, substr($1, 1, 32) }' |
        lines "$1"
}

# A state: its metadata, and "type[shape]:hash" of every tensor.
tensors() {
    file=${1##*/}
    size=$(od -An -t u8 -N 8 "$1" | tr -d ' ')
    tail -c +9 "$1" | head -c "$size" | flatten '' > header
    sed -n "s,^__metadata__/,$file:,p" header | grep -v ':version ' | lines settings
    awk '
    $1 ~ /^__metadata__/ { next }
    { name = key = $1; sub(/\/.*/, "", name); sub(/^[^\/]*\//, "", key) }
    key == "dtype" { type[name] = $2; shape[name] = "" }
    key ~ /^shape\/[0-9]/ { shape[name] = shape[name] "," $2 }
    key == "data_offsets/0" { from = $2 }
    key == "data_offsets/1" {
        print name, from, $2 - from, type[name] "[" substr(shape[name], 2) "]"
    }
    ' header > list
    rm -rf slices
    mkdir slices
    while read -r tensor from bytes _; do
        tail -c +$((9 + size + from)) "$1" | head -c "$bytes" > "slices/$tensor"
    done < list
    (cd slices && sha256sum -- *) | awk -v file="$file" '
        NR == FNR { kind[$1] = $4; next }
        { print file ":" $2, kind[$2] ":" substr($1, 1, 32) }' list - | lines numbers
}

# The data of a page, which its script draws from.
page_data() {
    sed -n 's/.* id="data">\(.*\)<\/script>.*/\1/p' "$1" > "${1##*/}:data"
    [ ! -s "${1##*/}:data" ] || whole numbers "${1##*/}:data"
}

# A JSON; or the table of the demo, without its seconds; or another text.
stdout() {
    case $(head -c 1 "$name.stdout") in
    '{') flatten stdout: < "$name.stdout" | grep -v 'seconds ' ;;
    *) awk '/ (ok|OFF)$/ { $(NF - 1) = "" }
        { gsub(/ +/, "_") }
        !/_seconds$/ { print "stdout:" NR, $0 }' "$name.stdout" ;;
    esac | lines numbers
}

collect() {
    while read -r name status; do
        echo "status $status" | lines numbers
        stdout
        for f in "$name"/*; do
            case $f in
            *'*') ;; # no files
            */run.json) flatten run.json: < "$f" | grep -v '^run.json:version ' | lines settings ;;
            *.safetensors) tensors "$f" ;;
            *.svg) whole pictures "$f" ;;
            *.html)
                whole pictures "$f"
                page_data "$f"
                ;;
            *) whole numbers "$f" ;;
            esac
        done
    done < commands
}

# ---- record, compare ----------------------------------------------------------------------------

record() {
    [ -x "$1" ] || die "expected a program, got $1"
    tool=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
    sections=$work/sections recorded=''
    mkdir "$sections" "$work/data"
    for s in numbers settings pictures; do : > "$sections/$s"; done
    (
        cd "$work/data"
        data_latent
        data_lds_model
        data_system 51 25 3
        data_system 52 9 11
        data_traces
        data_server
    )
    for path in $paths; do
        if ! "$tool" info --simd "$path" > /dev/null 2>&1; then
            echo "bits: $path: this processor or build does not have it, so it is left out" >&2
            continue
        fi
        mkdir "$work/$path"
        (
            cd "$work/$path"
            for family in $families; do run_$family; done
            collect
            echo "bits: $path: $(wc -l < commands) commands" >&2
        )
        recorded="$recorded $path"
    done
    {
        echo "# paths:$recorded"
        echo "# families: $families"
        for s in numbers settings pictures; do
            echo "# $s"
            sort "$sections/$s"
        done
    } > "$2.part"
    mv "$2.part" "$2"
    [ -z "$keep" ] || { mkdir -p "$keep" && cp -R "$work/." "$keep"; }
}

compare() {
    all=0
    [ "$1" != --all ] || { all=1 && shift; }
    [ $# -eq 2 ] || usage
    for f in "$1" "$2"; do
        grep -q '^# families:' "$f" || die "expected a record, got $f"
    done
    awk -v all=$all -v first="$1" -v second="$2" '
    FNR == 1 { file++ }
    /^# (paths|families):/ { for (i = 3; i <= NF; i++) { word[$i] = 1; has[file, $i] = 1 }; next }
    /^# / { section = $2; next }
    { key = section " " $1 " " $2 " " $3; where[key] = where[key] file; value[file, key] = $4 }
    END {
        for (w in word) if (!has[1, w] || !has[2, w]) { left = left " " w; alone[w] = 1 }
        if (left) print "not compared, only one record has it:" left
        for (key in where) {
            split(key, part, " ")
            family = part[3]
            sub(/-.*/, "", family)
            if (alone[part[2]] || alone[family]) continue
            n[part[1]]++
            if (where[key] == "12" && value[1, key] == value[2, key]) continue
            bad[part[1]]++
            if (part[1] != "numbers" && !all) continue
            if (where[key] == "12") print key, value[1, key], value[2, key] | "sort"
            else print key, "only in", where[key] == "1" ? first : second | "sort"
        }
        close("sort")
        for (s in n) if (s == "numbers" || all) wrong += bad[s]
        printf "differ: numbers %d of %d, settings %d of %d, pictures %d of %d%s\n",
            bad["numbers"], n["numbers"], bad["settings"], n["settings"],
            bad["pictures"], n["pictures"], all ? "" : " (--all lists them too)"
        exit wrong > 0 || !n["numbers"]
    }' "$1" "$2"
}

if [ "${1:-}" = --compare ]; then
    shift
    [ $# -gt 0 ] || usage
    compare "$@"
    exit
fi
paths=$PATHS families=$FAMILIES keep=''
while getopts p:f:k: option; do
    case $option in
    p) paths=$OPTARG ;;
    f) families=$OPTARG ;;
    k) keep=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -eq 2 ] || usage
for f in $families; do
    case " $FAMILIES " in
    *" $f "*) ;;
    *) die "expected families out of $FAMILIES, got $f" ;;
    esac
done
record "$1" "$2"
