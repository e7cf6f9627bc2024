#!/bin/sh
# The pages of the tool, opened by node: page.sh [./vdi]. What a page shows is what the library's
# own call says, and names out of an environment are text, whatever they hold.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
vdi=$(cd "$(dirname "${1:-./vdi}")" && pwd)/$(basename "${1:-./vdi}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
passed=0

# agrees PAGE.json CALL.json: the same value and step
agrees() {
    node -e '
        const [page, call] = process.argv.slice(1).map((f) => JSON.parse(fs.readFileSync(f)));
        if (page.value !== call.what_if.value || page.step !== call.what_if.step)
            throw new Error(`the page shows ${page.value}, the call says ${call.what_if.value}`);
        const same = (x, i) => Math.abs(x - call.what_if.action[i]) < 1e-6;
        if (!page.action.every(same)) throw new Error(`another action: ${page.action}`);' "$@"
}

for env in pendulum lander navigate; do
    "$vdi" sacd train --env $env --hidden 8,8 --batch 8 --start 20 --steps 260 --out $env --quiet \
        > train.txt
    case $env in
    pendulum) weights=0.3,2,0.1 ;;
    lander) weights=1,2,0.5,0,1,1,3,1,0.2 ;;
    navigate) weights=1,2,0.5,3 ;;
    esac
    "$vdi" sacd inspect $env --episodes 2 --quiet --json --what-if $weights --at 1,3 > call.json
    node "$here/page.js" $env/inspect.html "e=1&t=3&w=$weights" > page.json
    agrees page.json call.json
    passed=$((passed + 1))
done

# ten states, in a browser where one is at hand
at='0,0;0,7;0,40;0,99;1,0;1,3;1,55;1,120;0,150;1,199'
w=0.3,2,0.1,1
"$vdi" sacd inspect pendulum --episodes 2 --beside lander --quiet --json --what-if $w --at "$at" > ten.json
[ "$(wc -c < pendulum/inspect.html)" -lt 2000000 ]
if command -v "${CHROMIUM:-chromium}" > chromium.txt && command -v npm > npm.txt; then
    CHROMIUM=$(cat chromium.txt)
    export CHROMIUM NODE_PATH="$work/node_modules"
    if npm install --silent --no-audit --no-fund --prefix "$work" playwright-core > npm.txt 2>&1; then
        node "$here/browser.js" pendulum/inspect.html ten.json $w
        passed=$((passed + 1))
    fi
fi

# an environment whose names are markup, quotes and commas; a shell serves it
x='<img src=x onerror=boom()>"'
r="</script>a\"b\\\\<i>,'"
cat > server.sh << 'END'
message() { dd bs="$1" count=1 2> /dev/null; }
word() { printf "\\$(printf %03o $(($1 % 256)))\\$(printf %03o $(($1 / 256)))\\000\\000"; }
while kind=$(message 4) && [ -n "$kind" ]; do
    case $kind in
    HELO)
        message 16 > /dev/null
        printf INFO
        word $((28 + 3 + ${#x} + 1 + 1 + ${#r} + 1))
        printf 'vdi-env\n'
        word 1 && word 1 && word 1 && word 1 && word 10
        printf 'sh\0%s\0\0%s\0' "$x" "$r"
        ;;
    RSET) message 20 > /dev/null && printf 'OBSV\004\000\000\000\000\000\200\076' ;;
    STEP)
        message 8 > /dev/null
        steps=$((${steps:-0} + 1))
        last='\000'
        [ $((steps % 10)) -eq 0 ] && last='\002'
        printf "TRAN\014\000\000\000$last\000\000\000\000\000\000\077\000\000\200\076"
        ;;
    *) exit ;;
    esac
done
END
export x r
"$vdi" sacd train --env-cmd 'sh server.sh' --hidden 8,8 --batch 8 --start 20 --steps 60 --out p \
    --quiet > train.txt
"$vdi" sacd eval p --env-cmd 'sh server.sh' --episodes 1 --json > eval.json
"$vdi" sacd inspect p --env-cmd 'sh server.sh' --episodes 1 --json > inspect.json
node "$here/page.js" p/inspect.html > page.json
node -e '
    const read = (f) => JSON.parse(fs.readFileSync(f));
    const { x, r } = process.env;
    const page = read("page.json");
    if (page.texts[0] !== x) throw new Error(`the observation is ${page.texts[0]}`);
    if (page.names[0] !== r) throw new Error(`the component is ${page.names[0]}`);
    if (!(r in read("eval.json").components)) throw new Error("not in the JSON of eval");
    if (!(r in read("inspect.json").components)) throw new Error("not in the JSON of inspect");
    const head = fs.readFileSync("p/log.csv", "utf8").split("\n")[0];
    if (!head.includes(`"r_${r.replaceAll("\"", "\"\"")}"`)) throw new Error(`log.csv: ${head}`);
    for (const f of ["p/inspect.html", "p/curve.svg"]) {
        const text = fs.readFileSync(f, "utf8").replace(/<script[^]*?<\/script>/g, "");
        if (/<img|<i>/.test(text)) throw new Error(`markup out of a name in ${f}`);
    }'
echo "page: $((passed + 1)) passed, 0 failed"
