#!/bin/sh
# bench/tables.sh - put the tables of the bench programs together
#   tables.sh DIR QUESTION...       DIR/bench.md and DIR/bench.json out of DIR/QUESTION.md and .json
#   tables.sh DIR --into FILE       DIR/bench.md between the two marks "<!-- tables -->" of FILE
set -eu
dir=$1
shift
if test "$1" = --into; then
    awk -v tables="$dir/bench.md" '
        !inside { print }
        /^<!-- tables -->$/ {
            inside = !inside
            if (inside) { print ""; while ((getline line < tables) > 0) { sub(/ +$/, "", line); print line } } else print
        }' "$2" > "$dir/into.new"
    cp "$dir/into.new" "$2"
    rm "$dir/into.new"
    exit 0
fi
: > "$dir/bench.md"
printf '[' > "$dir/bench.json"
comma=
for q in "$@"; do
    cat "$dir/$q.md" >> "$dir/bench.md"
    printf '%s' "$comma" >> "$dir/bench.json"
    cat "$dir/$q.json" >> "$dir/bench.json"
    comma=,
done
echo ']' >> "$dir/bench.json"
echo "tables: $dir/bench.md, $dir/bench.json"
