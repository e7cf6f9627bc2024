#!/bin/sh
# Takes the programs and examples out of the papers and headers, to be compiled as they stand:
#     snippets.sh FOLDER
# Every ```c block of a .md file that has a main becomes FOLDER/<file>_<n>.c; a ```text block right after it is what it has to
# print, FOLDER/<file>_<n>.txt. In a header, the indented lines under "Do this (it compiles):" become the body of a function.
set -eu
folder=$1
mkdir -p "$folder"
rm -f "$folder"/*
for paper in README.md CONTRIBUTING.md docs/*.md; do
    [ -f "$paper" ] || continue
    awk -v base="$folder/$(basename "$paper" .md)_" '
    /^```/ && fence == "" {
        fence = substr($0, 4); text = ""
        expected = (fence == "text" && program && !prose)
        prose = 0
        next
    }
    /^```/ {
        if (fence == "c" && text ~ /int main\(/) { program = ++n; printf "%s", text > (base n ".c"); close(base n ".c") }
        else { if (expected) printf "%s", text > (base program ".txt"); program = 0 }
        fence = ""; next
    }
    fence != "" { text = text $0 "\n"; next }
    /[^ ]/ { prose++; if (prose > 2) program = 0; else if (program) prose = 0 }' "$paper"
done
for header in include/vdi/*.h include/vdi/*/*.h; do
    awk -v out="$folder/$(echo "$header" | sed 's/^include.vdi.//; s/[^A-Za-z0-9]/_/g').c" '
    /^ \* Do this.*\(it compiles\):$/ { take = 1; next }
    take && /^ \*     / { body = body substr($0, 4) "\n"; next }
    take && /^ \*$/ { next }
    { take = 0 }
    END {
        if (body != "") printf "#include \"vdi.h\"\n#include <stdio.h>\nvoid example(void);\nvoid example(void) {\n%s}\n", body > out
    }' "$header"
done
