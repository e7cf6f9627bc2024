#!/bin/sh
# `vdi sacd` with simulators as they are: sacd.sh [./vdi]. They hang, die, never end, do not repeat
# themselves, and are interrupted anywhere. Prints "N passed, N failed"; needs a shell, awk and cmp.
# shellcheck source=tests/shell.sh
. "$(dirname "$0")/shell.sh"
says() { # says PATTERN NAME
    grep -q -e "$1" err.txt
    ok "$2: $(head -n 1 err.txt)" $?
}
# A server of one observation, action and component, in shell. END: steps of an episode (0: it never
# ends). HANG: it stops to answer at that step. LIFE: it dies there. NOISE: it does not repeat itself.
cat > server.sh << 'END_OF_SERVER'
steps=0 total=0 obs='\200\076'
message() { dd bs="$1" count=1 2> /dev/null; }
while kind=$(message 4) && [ -n "$kind" ]; do
    case $kind in
    HELO)
        message 16 > /dev/null
        printf "INFO\\043\\000\\000\\000vdi-env\\n\\001\\000\\000\\000\\001\\000\\000\\000"
        printf "\\001\\000\\000\\000\\001\\000\\000\\000\\000\\000\\000\\000sh\\000\\000\\000r\\000"
        ;;
    RSET)
        message 20 > /dev/null
        steps=0
        printf 'OBSV\004\000\000\000\000\000\200\076'
        ;;
    STEP)
        message 8 > /dev/null
        steps=$((steps + 1)) total=$((total + 1)) last='\000'
        [ $total = "${HANG:-}" ] && sleep 6021
        [ $total = "${LIFE:-}" ] && exit 3
        [ "${END:-10}" -gt 0 ] && [ $((steps % ${END:-10})) -eq 0 ] && last='\002'
        [ -n "${NOISE:-}" ] && obs="\\$(printf %03o $((total % 200)))\\076"
        printf "TRAN\\014\\000\\000\\000$last\\000\\000\\000\\000\\000\\000\\077\\000\\000$obs"
        ;;
    *) exit ;;
    esac
done
END_OF_SERVER
small() { "$vdi" sacd train --hidden 8,8 --batch 8 --start 20 --quiet "$@"; }

# ---- episodes that never end -----------------------------------------------------------------------
export END=0
exits 0 'a time limit' small --env-cmd 'sh server.sh' --limit 7 --steps 60 --out limited
lengths=$(awk -F, 'NR > 1 { print $3, $4 }' limited/log.csv | sort -u)
[ "$lengths" = '7 0' ]
ok "episodes of 7 steps, none of them terminal: $lengths" $?
exits 0 'the limit of the training holds in eval' "$vdi" sacd eval limited --env-cmd 'sh server.sh' --episodes 2 --json
grep -q '"steps": 14,' out.txt
ok "two episodes of 7 steps: $(cat out.txt)" $?
exits 0 'another limit in eval' "$vdi" sacd eval limited --env-cmd 'sh server.sh' --episodes 2 --limit 3 --json
grep -q '"steps": 6,' out.txt
ok "two episodes of 3 steps: $(cat out.txt)" $?
exits 0 'inspect has a limit' "$vdi" sacd inspect limited --env-cmd 'sh server.sh' --episodes 1 --limit 5 --quiet
# stopped SIGNAL CODE NAME COMMAND...: it ends within a second, or a little more on a busy machine
stopped() {
    signal=$1 wanted=$2 name=$3
    shift 3
    "$vdi" "$@" > out.txt 2> err.txt &
    pid=$!
    sleep 1
    before=$(date +%s%N)
    kill "-$signal" $pid
    wait $pid
    code=$?
    took=$((($(date +%s%N) - before) / 1000000))
    [ $code -eq "$wanted" ] && [ $took -lt $((2000 * patience)) ]
    ok "$name: exit $code after $took ms, expected $wanted ($(head -n 1 err.txt))" $?
}
stopped INT 130 'Ctrl-C in an endless episode' sacd train --env-cmd 'sh server.sh' --hidden 8,8 \
    --batch 8 --start 20 --steps 1000000 --quiet --out endless
[ -s endless/agent.safetensors ] && [ -s endless/checkpoint.safetensors ]
ok 'an agent and a checkpoint were saved' $?
stopped TERM 143 'an evaluation inside of training' sacd train --env-cmd 'sh server.sh' --hidden 8,8 \
    --batch 8 --start 20 --steps 1000000 --eval-every 30 --quiet --out judging
[ -s judging/agent.safetensors ]
ok 'an agent was saved from inside of an evaluation' $?
stopped INT 130 'eval of an endless episode' sacd eval endless --env-cmd 'sh server.sh' --quiet
stopped TERM 143 'inspect of an endless episode' sacd inspect endless --env-cmd 'sh server.sh' \
    --limit 100000000 --quiet

# ---- checkpoints inside of an episode ---------------------------------------------------------------
unset END
export VDI_TEST_CHECKPOINT_MS=1
export LIFE=45 END=30
exits 1 'a server that dies inside of an episode' small --env-cmd 'sh server.sh' --steps 100 --out died
unset LIFE
exits 0 'the episode is played again' "$vdi" sacd train --resume died --quiet --trust
exits 0 'a run that nothing happens to' small --env-cmd 'sh server.sh' --steps 100 --out whole
same whole/agent.safetensors died/agent.safetensors
same whole/log.csv died/log.csv
export LIFE=45 NOISE=1
exits 1 'one that does not repeat itself dies' small --env-cmd 'sh server.sh' --steps 100 --out noisy
unset LIFE
exits 0 'it goes on with the next episode' "$vdi" sacd train --resume noisy --quiet --trust
says 'vdi: warning: resume: the simulator does not repeat an episode' 'and says so'
unset NOISE END VDI_TEST_CHECKPOINT_MS

# ---- an evaluation that was interrupted is made up for ----------------------------------------------
set -- --env pendulum --hidden 8,8 --batch 8 --start 20 --steps 600 --eval-every 200 --eval-episodes 400 --quiet
exits 0 'a run with long evaluations' "$vdi" sacd train "$@" --out judged
"$vdi" sacd train "$@" --out again > /dev/null 2>&1 &
pid=$!
while [ ! -e again/run.json ]; do sleep 0.05; done
sleep 0.3
kill -INT $pid
wait $pid
exits 0 'resumed' "$vdi" sacd train --resume again --quiet
for f in agent.safetensors best.safetensors eval.csv log.csv; do same judged/$f again/$f; done

# ---- a server that hangs ------------------------------------------------------------------------------
export HANG=30
exits 1 'a server that hangs' small --env-cmd 'echo $$ > pid; exec sh server.sh' --env-timeout 1 --steps 100 --out hung
says 'the server gave none within 1 s and was ended by signal [0-9]*, in --env-cmd' 'how it ended is told'
[ "$(wc -l < err.txt)" -eq 1 ]
ok "one line: $(cat err.txt)" $?
! kill -0 "$(cat pid)" 2> /dev/null
ok 'its process is gone' $?
[ -s hung/checkpoint.safetensors ]
ok 'what was learned is saved' $?
stopped INT 130 'Ctrl-C while a server hangs' sacd train --env-cmd 'sh server.sh' --hidden 8,8 --batch 8 \
    --start 20 --steps 100 --quiet --out hangs
[ -s hangs/agent.safetensors ]
ok 'it is saved there too' $?
unset HANG
left=$(ps -ef | grep -c '[s]leep 6021')
[ "$left" -eq 0 ]
ok 'nothing that a server has started is left' $?

# ---- a folder that was used before ----------------------------------------------------------------------
exits 0 'a run into an old folder' "$vdi" sacd train --env pendulum --hidden 8,8 --batch 8 --start 20 --steps 210 --quiet --out judged
for f in best.safetensors eval.csv; do
    [ ! -e judged/$f ]
    ok "$f of the old run is gone" $?
done

# ---- memory -----------------------------------------------------------------------------------------------
if [ -z "${VDI_TEST_SANITIZED:-}" ] && (ulimit -v 400000) 2> /dev/null; then
    (
        ulimit -v 400000
        "$vdi" sacd train --env pendulum --hidden 8,8 --batch 8 --start 20 --steps 30000000 --capacity 30000000 --out large > out.txt 2> err.txt
    )
    code=$?
    [ $code -eq 1 ]
    ok "no memory: exit $code, expected 1 ($(head -n 1 err.txt))" $?
    says 'transitions will take 1.32 GB' 'its size is told before'
fi

# ---- several at once ----------------------------------------------------------------------------------------
for out in three again3; do
    exits 0 'three environments at once' small --env-cmd 'sh server.sh' --envs 3 --steps 120 --out $out
done
same three/agent.safetensors again3/agent.safetensors
episodes=$(awk -F, 'NR > 1 { print $1 }' three/log.csv | sort -n | tr '\n' ' ')
[ "$episodes" = '0 1 2 3 4 5 6 7 8 9 10 11 ' ]
ok "twelve episodes of ten steps: $episodes" $?
set -- --env pendulum --hidden 8,8 --batch 8 --start 20 --envs 2 --quiet
exits 0 'two pendulums' "$vdi" sacd train "$@" --steps 3000 --out two
VDI_TEST_CHECKPOINT_MS=20 "$vdi" sacd train "$@" --steps 3000 --out two-killed > /dev/null 2>&1 &
pid=$!
while [ ! -e two-killed/checkpoint.safetensors ] && kill -0 $pid 2> /dev/null; do sleep 0.02; done
kill -9 $pid 2> /dev/null
wait $pid 2> /dev/null
exits 0 'resumed after kill -9' "$vdi" sacd train --resume two-killed --quiet
for f in agent.safetensors log.csv; do same two/$f two-killed/$f; done

# ---- choices, and numbers far from 1 ----------------------------------------------------------------------------
exits 0 'choices' "$vdi" sacd train --env cartpole-discrete --hidden 8,8 --batch 8 --start 20 --steps 300 --quiet --out choices
exits 0 'their eval' "$vdi" sacd eval choices --episodes 1 --json --quiet
exits 0 'their inspect' "$vdi" sacd inspect choices --episodes 1 --json --quiet --what-if 1,2,0 --at 0,3
grep -o '"action": \[[^]]*\]' out.txt | grep -Eq '\[(1, 0, 0|0, 1, 0|0, 0, 1)\]'
ok "what-if finds one of the choices: $(cat out.txt)" $?

# Gymnasium's interface, as far as the bridge uses it
mkdir gymnasium
cat > gymnasium/__init__.py << 'END'
import sys


class Array(list):
    """What numpy's arrays do here."""

    def ravel(self):
        return self

    def tolist(self):
        return list(self)

    def copy(self):
        return Array(self)

    @property
    def flat(self):
        return self


class spaces:
    class Box:
        def __init__(self, low, high, kind="f"):
            self.low, self.high, self.shape = Array(low), Array(high), (len(low),)
            self.dtype = type("dtype", (), {"kind": kind})

    class Discrete:
        def __init__(self, n, start):
            self.n, self.start = n, start

    class Sequence:
        shape = None

    @staticmethod
    def flatten_space(space):
        return space

    @staticmethod
    def flatten(space, x):
        return Array(x)


class Toy:
    """Ten steps; the observation is a thousand times the last action, the reward a millionth."""

    spec = None

    def __init__(self, name):
        self.observation_space = spaces.Sequence() if name == "Ragged" else spaces.Box([-9e9], [9e9])
        self.action_space = {"Whole": spaces.Box([0], [3], "i"), "Choice": spaces.Discrete(3, 5)}.get(name, spaces.Box([-1.0], [1.0]))
        self.unwrapped, self.name = self, name
        if name == "Parts":
            self.reward_space = spaces.Box([-9.0, -9.0], [9.0, 9.0])

    def reset(self, seed):
        self.steps = 0
        return [0.0], {}

    def step(self, action):
        a = action if isinstance(action, int) else action[0]
        with open("actions.txt", "a") as file:
            print(repr(a), file=file)
        self.steps += 1
        if self.name == "Parts":
            return [a], Array([a, -2 * a]), False, self.steps == 10, {}
        if self.name == "Told":
            return [a], 3 * a, self.steps == 10, False, {"push": a / 2, "pull": -4 * a}
        return [1000.0 * a], 1e-6 * a, False, self.steps == 10, {}


def make(name, **settings):
    if name == "Mispelt":
        raise ValueError("no environment of that name;\ndid you mean Misspelt?")
    return Toy(name)
END
bridge=$(cd "$here/../examples" && pwd)/gymnasium_bridge.py
if command -v python3 > /dev/null; then
    export PYTHONPATH=$work
    gym() { small --env-cmd "python3 $bridge $1" --steps 60 --out "gym-$1"; }
    exits 0 'whole numbers through the bridge' gym Whole
    [ "$(sort -u actions.txt | tr '\n' ' ')" = '0 1 2 3 ' ]
    ok "actions 0 to 3: $(sort -u actions.txt | tr '\n' ' ')" $?
    says 'vdi: warning: scale: the reward of a step is about' 'a reward that is not seen is told'
    # the log has the rewards of each episode: sums over the ten actions that the environment has seen
    returns() { # returns NAME TERMINATED COLUMN=FACTOR...: of log.csv
        name=$1 ended=$2
        shift 2
        for pair; do
            said=$(awk -v column="${pair%=*}" -v factor="${pair#*=}" -v ended="$ended" 'FILENAME == "actions.txt" { sum[int((FNR - 1) / 10)] += factor * $1; next }
                FNR == 1 { n = split($0, name, ","); for (i = 1; i <= n; i++) at[name[i]] = i; next }
                { split($0, f, ","); e = f[at[column]] - sum[FNR - 2]; size += sum[FNR - 2] ^ 2; off += e * e; rows++; bad += f[at["terminated"]] != ended }
                END { print (rows == 6 && size > 0 && off <= 1e-12 * size && !bad) ? "yes" : rows " rows, off by " off " of " size ", " bad + 0 " ended otherwise" }' \
                actions.txt "gym-$name/log.csv")
            [ "$said" = yes ]
            ok "$name, ${pair%=*}: $said" $?
        done
    }
    returns Whole 0 return=1e-6 r_reward=1e-6
    rm actions.txt
    exits 0 'a vector of rewards' gym 'Parts --names up,down'
    mv 'gym-Parts --names up,down' gym-Parts
    returns Parts 0 return=-1 r_up=1 r_down=-2
    rm actions.txt
    exits 0 'components out of info' gym 'Told --info push,pull'
    mv 'gym-Told --info push,pull' gym-Told
    returns Told 1 return=3 r_push=0.5 r_pull=-4 r_rest=6.5
    rm actions.txt
    exits 1 'names that are too few' gym 'Parts --names up'
    says 'expected 2 names of components, got 1' 'how many is told'
    exits 0 'choices through the bridge' gym Choice
    [ "$(sort -u actions.txt | tr '\n' ' ')" = '5 6 7 ' ]
    ok "choices 5 to 7: $(sort -u actions.txt | tr '\n' ' ')" $?
    exits 0 'without normalisation' small --env-cmd "python3 $bridge Whole" --normalise no --steps 60 --out plain
    says 'vdi: warning: scale: observation 0 (it) is about' 'observations far from 1 are told'
    exits 1 'a misspelt name' gym Mispelt
    says 'the server says: Mispelt: no environment of that name; did you mean Misspelt?' 'its reason is told'
    [ "$(wc -l < err.txt)" -eq 1 ]
    ok "in one line: $(cat err.txt)" $?
    exits 1 'observations of no fixed size' gym Ragged
    says 'expected observations of a fixed size' 'its reason is told'
fi

# ---- two agents, a policy for other programs, weights over time ---------------------------------------------------------
exits 0 'two agents on the same episodes' "$vdi" sacd compare two two-killed --episodes 2 --quiet
exits 0 'an agent against itself' "$vdi" sacd compare two two --episodes 3 --json --quiet
grep -q '"difference": 0, "standard_error": 0' out.txt
ok "it is as good as itself: $(cat out.txt)" $?
exits 1 'agents of two environments' "$vdi" sacd compare two choices --episodes 1 --quiet
for run in two choices plain gym-Whole; do
    exits 0 "the policy of $run" "$vdi" sacd export $run --name pilot --out "out-$run"
    [ -s "out-$run/policy.safetensors" ]
    ok "tensors of the policy of $run" $?
    if command -v cc > /dev/null; then
        cat > check.c << 'END'
#include "pilot.h"
#include <stdio.h>
int main(void) {
    printf("%g\n", (double)pilot_check());
    return !(pilot_check() < 1e-5f);
}
END
        exits 0 "the C of $run" cc -std=c99 -Wall -Wextra -Werror -I"out-$run" check.c -o check -lm
        exits 0 "it says what the policy said" ./check
        sed -i.bak 's/_bias_1\[\([0-9]*\)\] = {/_bias_1[\1] = {9 + /' "out-$run/pilot.h"
        cc -std=c99 -I"out-$run" check.c -o check -lm 2> /dev/null && ! ./check > out.txt
        ok "a wrong number in the C of $run is found" $?
    fi
done
exits 2 'a name that C does not know' "$vdi" sacd export two --name 9lives --out out-two
exits 0 'a schedule' small --env pendulum --schedule 'speed:0.1@0-100,1@300;torque:0@0-10,2@20' --steps 250 --out scheduled
exits 2 'a schedule of nothing' small --env pendulum --schedule 'river:0.1@0-100,1@300' --out e
exits 2 'half a schedule' small --env pendulum --schedule 'speed:0.1@0-100' --out e
exits 0 'taming' "$vdi" sacd train --env pendulum --hidden 8,8 --batch 8 --start 20 --steps 250 --tame 0.2@100-200 --out tamed
grep -q 'components are let in slowly' err.txt
ok 'it is told' $?
exits 2 'no share' small --env pendulum --tame 2@100-200 --out e

echo "sacd: $passed passed, $failed failed"
[ $failed -eq 0 ]
