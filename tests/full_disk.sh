#!/bin/sh
# The tool on a disk that is full: full_disk.sh TOOL FOLDER, where FOLDER is a file system of 1 MB (tmpfs).
# Each command has to fail with one line on standard error, and leave nothing half written under its own name.
set -u
vdi=$1 disk=$2
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 1
passed=0 failed=0 idle=0
awk 'BEGIN { srand(3); for (t = 0; t < 300; t++) print rand() "," rand() "," rand() }' > y.csv
awk 'BEGIN { srand(3); for (t = 0; t < 300; t++) print int(3 * rand()) "," int(3 * rand()) "," int(2 * rand()) }' > counts.csv
"$vdi" lds fit y.csv -d 2 --iters 3 --out lds --quiet > out.txt || exit 1
"$vdi" flds fit counts.csv -d 1 --steps 5 --restarts 1 --hidden 4 --encoder-hidden 4 --out flds --quiet > out.txt || exit 1
"$vdi" sacd train --env pendulum --hidden 8,8 --batch 8 --start 20 --steps 60 --out sacd --quiet > out.txt || exit 1
# fill FREE: all of it but so many kilobytes
fill() {
    rm -rf "${disk:?}"/*
    dd if=/dev/zero of="$disk/filler" bs=1024 count=$((1000 - $1)) 2> /dev/null
    dd if=/dev/zero of="$disk/rest" bs=1024 count=2000 2> /dev/null
    rm -f "$disk/rest"
    dd if=/dev/zero of="$disk/rest" bs=1024 count=$((24 - $1 < 0 ? 0 : 24 - $1)) 2> /dev/null
}
for free in 0 4 12; do
    while read -r command; do
        fill $free
        "$vdi" $command > out.txt 2> err.txt
        code=$?
        [ $code -eq 1 ] && [ "$(grep -c '^vdi: error: ' err.txt)" -eq 1 ] && ! grep -q 'Sanitizer\|runtime error' err.txt
        rc=$?
        # what fits may be written in full, and some write nothing: then it is no failure
        if [ $code -eq 0 ] && [ ! -s err.txt ] && [ -z "$(find "$disk/out" -type f -size 0 2> /dev/null)" ]; then
            rc=0
            [ $free -gt 0 ] || idle=$((idle + 1))
        fi
        if [ $rc -eq 0 ]; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "FAIL $command with $free KB left: exit $code, $(head -c 300 err.txt)"
        fi
        for part in "$disk"/*/*.part; do
            [ ! -e "$part" ] || { failed=$((failed + 1)); echo "FAIL $command leaves $part"; }
        done
    done << END
lds fit y.csv -d 2 --iters 5 --out $disk/out --quiet
lds smooth y.csv --params lds --out $disk/out --quiet
lds score y.csv --params lds --out $disk/out --quiet
flds fit counts.csv -d 1 --steps 3 --restarts 1 --hidden 4 --encoder-hidden 4 --out $disk/out --quiet
flds infer flds counts.csv --out $disk/out --quiet
vilds fit counts.csv -d 1 --steps 3 --restarts 1 --hidden 4 --encoder-hidden 4 --out $disk/out --quiet
spikes simulate --fps 30 --cells 3 --out $disk/out --quiet
spikes infer y.csv --fps 30 --out $disk/out --quiet
spikes fit y.csv --fps 30 --steps 2 --out $disk/out --quiet
sacd train --env pendulum --hidden 8,8 --batch 8 --start 20 --steps 60 --out $disk/out --quiet
sacd eval sacd --episodes 1 --out $disk/out --quiet
sacd inspect sacd --episodes 1 --out $disk/out --quiet
END
done
rm -rf "${disk:?}"/*
echo "$passed passed, $failed failed"
[ $idle -le 3 ] || { echo "$idle commands did not notice that there was no space at all"; exit 1; }
[ $failed = 0 ] && [ $passed -gt 0 ]
