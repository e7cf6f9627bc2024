#!/bin/sh
# What the pages name has to exist:
#     links.sh           prints what does not, one a line, and fails if there is any
#
#  - a relative link or picture of a .md file, and the heading behind its #
#  - a `make target` in backticks or in an indented block, as a rule of the Makefile or of an .mk file that it includes
#  - a header (model/lds/lds.h), a program, a script or a page, in .md files; a page in the comments of the sources too
#  - a function that a page quotes, below <!-- examples/NAME.c -->, as it stands in that file
#
# CHANGELOG.md may name what is no more.
set -eu
pages=$(git ls-files -co --exclude-standard '*.md' | sort)
sources=$(git ls-files -co --exclude-standard include examples bench tests scripts Makefile | grep -v '\.md$' | sort)
found=$(mktemp)
trap 'rm -f "$found"' EXIT

# "file<TAB>line<TAB>kind<TAB>what" for everything that is named
names() {
    # shellcheck disable=SC2086
    awk '
    function say(kind, what) { print FILENAME "\t" FNR "\t" kind "\t" what }
    FNR == 1 { fence = "" }
    /^```/ { fence = fence == "" ? substr($0, 4) : ""; if (fence == "") fence = ""; next }
    {
        rest = $0
        while (fence == "" && match(rest, /\]\([^()]*\)/)) { # [text](target)
            target = substr(rest, RSTART + 2, RLENGTH - 3)
            rest = substr(rest, RSTART + RLENGTH)
            if (target !~ /^[a-z]+:/) say("link", target)
        }
        rest = $0
        while (match(rest, /`make [a-z][A-Za-z0-9_.\/-]*/)) {
            say("target", substr(rest, RSTART + 6, RLENGTH - 6))
            rest = substr(rest, RSTART + RLENGTH)
        }
        if (match($0, /^    make [a-z][A-Za-z0-9_.\/-]*/)) say("target", substr($0, 10, RLENGTH - 9))
        if (FILENAME == "CHANGELOG.md") next
        rest = $0
        while (match(rest, /(core|kernel|linalg|grad|model|io|examples|bench|tests|scripts|docs)\/[A-Za-z0-9_.\/-]*\.(hpp|cpp|h|c|sh|py|md|mk|svg)/)) {
            before = RSTART > 1 ? substr(rest, RSTART - 1, 1) : " "
            after = substr(rest, RSTART + RLENGTH, 1)
            path = substr(rest, RSTART, RLENGTH)
            rest = substr(rest, RSTART + RLENGTH)
            if (before ~ /[A-Za-z0-9_.\/-]/ || after ~ /[A-Za-z0-9_]/) continue
            say("path", path)
        }
    }' $pages
    # shellcheck disable=SC2086
    awk '
    {
        rest = $0
        while (match(rest, /docs\/[A-Za-z0-9_.\/-]*\.md/)) {
            print FILENAME "\t" FNR "\tpath\t" substr(rest, RSTART, RLENGTH)
            rest = substr(rest, RSTART + RLENGTH)
        }
    }' $sources
}

# a heading as the anchor that GitHub makes of it
anchors() { # anchors FILE
    awk '
    /^```/ { fence = !fence }
    !fence && /^#+ / {
        sub(/^#+ +/, ""); gsub(/[`*]/, ""); $0 = tolower($0)
        gsub(/\[|\]\([^)]*\)/, "")
        gsub(/[^a-z0-9 _-]/, ""); gsub(/ /, "-"); print
    }' "$1"
}

targets=$(sed -n 's/^\([a-z][A-Za-z0-9_.-]*\(  *[a-z][A-Za-z0-9_.-]*\)*\):.*/\1/p' Makefile scripts/package.mk bench/bench.mk | tr ' ' '\n' | sort -u)
steps=$(sh scripts/check.sh --list)

check() {
    tab=$(printf '\t')
    while IFS="$tab" read -r file line kind what; do
        case $kind in
        link)
            path=${what%%#*} anchor=
            case $what in *'#'*) anchor=${what#*#} ;; esac
            here=$(dirname "$file")
            if [ -z "$path" ]; then path=$file; else path=$here/$path; fi
            if [ ! -e "$path" ]; then echo "$file:$line: no file $what"; continue; fi
            if [ -n "$anchor" ] && ! anchors "$path" | grep -qxF "$anchor"; then echo "$file:$line: no heading $what"; fi
            ;;
        target)
            what=${what%.}
            case $what in
            build/*) continue ;; # by a pattern
            check-*) echo "$steps" | grep -qxF "${what#check-}" || [ "$what" = check-NAME ] || echo "$file:$line: no step of make $what" ;;
            *) echo "$targets" | grep -qxF "$what" || echo "$file:$line: no target make $what" ;;
            esac
            ;;
        path)
            case $what in *NAME*) continue ;; esac # whatever it will be called
            [ -e "$what" ] || [ -e "include/vdi/$what" ] || echo "$file:$line: no file $what"
            ;;
        esac
    done
}

quotes() {
    for page in $pages; do
        awk '
        /^<!-- [^ ]+ -->$/ && $2 ~ /\.c$/ { from = $2; next }
        from != "" && /^```c$/ { taking = 1; text = ""; next }
        taking && /^```$/ {
            whole = ""
            while ((getline line < from) > 0) whole = whole line "\n"
            close(from)
            if (index(whole, text) == 0) print FILENAME ":" FNR ": this is not in " from
            taking = 0; from = ""
            next
        }
        taking { text = text $0 "\n"; next }
        /[^ ]/ { from = "" }' "$page"
    done
}

{ names | check; quotes; } > "$found"
cat "$found"
[ ! -s "$found" ]
