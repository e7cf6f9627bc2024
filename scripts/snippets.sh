#!/bin/sh
# Takes the programs and examples out of the pages and headers, to be compiled as they stand:
#     snippets.sh FOLDER
# Every ```c block of a .md file that has a main becomes FOLDER/<file>_<n>.c; a ```text block right after it is what it has to
# print, FOLDER/<file>_<n>.txt. (Blocks that quote an example are compared with it by links.sh.) In a header, the indented lines under
# "Do this:" become the body of a function, without the remarks that stand two or more spaces behind a semicolon (three behind other
# code), and without lines that leave something out (...). The names that an example takes as given are in tests/header/names.h.
set -eu
folder=$1
mkdir -p "$folder"
rm -f "$folder"/*
for page in README.md CONTRIBUTING.md docs/*.md docs/*/*.md; do
    [ -f "$page" ] || continue
    name=$(echo "${page%.md}" | tr / _)
    awk -v base="$folder/${name}_" '
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
    /[^ ]/ { prose++; if (prose > 2) program = 0; else if (program) prose = 0 }' "$page"
done
for header in include/vdi/*/*.h include/vdi/*/*/*.h; do
    path=${header#include/vdi/}
    layer=${path%%/*}
    # model/lds/lds.h is model_lds, model/lds/em.h model_lds_em
    file=$(echo "${path%.h}" | sed 's,/\([^/]*\)/\1$,/\1,' | tr / _)
    awk -v layer="$layer" -v file="$file" -v out="$folder/$file.c" '
    /^ \* Do this.*:$/ { take = 1; next }
    take && /^ \*     / {
        line = substr($0, 8)
        if (match(line, /;  +[^ ]|[{}),]   +[^ ]/)) line = substr(line, 1, RSTART)
        if (line ~ /\.\.\./) next
        if (line ~ /^(static )?[a-z_]+ \*?[a-z_]+\([^;]*\) \{/) inside = 1 # a function of the example
        if (inside) {
            outside = outside line "\n"
            depth += gsub(/\{/, "{", line) - gsub(/\}/, "}", line)
            if (depth == 0) inside = 0
        }
        else body = body "    " line "\n"
        next
    }
    take && /^ \*$/ { next }
    { take = 0 }
    END {
        if (body != "") printf "#define EXAMPLE_%s\n#define EXAMPLE_%s\n#include \"names.h\"\nvoid example(void);\n%svoid example(void) {\n%s}\n", layer, file, outside, body > out
    }' "$header"
done
