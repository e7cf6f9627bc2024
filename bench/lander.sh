#!/bin/sh
# The lunar-lander table of docs/results/sacd.md: lander.sh RUNS [ALGO:SEED...]
# Needs ./vdi and build/box2d/lunar_lander (make vdi box2d). One run after the other, each in RUNS/ALGO_SEED; called again it goes on where it
# stopped. FORM: more options of the training. Then: build/curves docs/pictures/lunar-lander.svg RUNS/*_*
set -eu
runs=${1:?usage: lander.sh RUNS [ALGO:SEED...]}
shift
[ $# -gt 0 ] || set -- sac-d:1 sac:1 sac-d:2 sac:2 sac-d:3 sac:3 sac-d-naive:1 sac-d-naive:2 sac-d-cagrad:1 sac-d-cagrad:2
mkdir -p "$runs"
for one in "$@"; do
    out=$runs/${one%:*}_${one#*:}
    if [ ! -f "$out/eval.json" ]; then
        if [ -f "$out/run.json" ]; then ./vdi sacd train --resume "$out" --trust --quiet
        else
            ./vdi sacd train --env-cmd build/box2d/lunar_lander --algo "${one%:*}" --seed "${one#*:}" --steps 200000 --hidden 256,256 --batch 128 ${FORM-} \
                --eval-every 20000 --eval-episodes 20 --out "$out" --quiet
        fi
        ./vdi sacd eval "$out/best.safetensors" --trust --episodes 100 --seed 1000 --json --quiet > "$out/best.json"
        ./vdi sacd eval "$out" --trust --episodes 100 --seed 1000 --json --quiet > "$out/eval.part" && mv "$out/eval.part" "$out/eval.json"
    fi
    echo "$one last $(cat "$out/eval.json") best $(cat "$out/best.json")"
done
