#!/bin/sh
# Takes one drawing out of a page that vdi wrote (report.html, index.html), for the pictures of docs/:
#     figure.sh PAGE.html N > figure.svg        N = 1 is the first
# A drawing may hold others (one per panel), so the tags are counted. In a page the ink follows the reader's theme; alone, the drawing
# gets dark ink on white, as vdi_svg_save gives it.
set -eu
awk -v want="${2:?usage: figure.sh PAGE.html N}" '
    {
        rest = $0
        while (match(rest, /<svg|<\/svg>/)) {
            opens = substr(rest, RSTART, 4) == "<svg"
            if (opens && depth++ == 0 && ++n == want) taking = 1
            keep = RSTART + RLENGTH - 1
            if (taking && opens) printf "%s", depth == 1 ? substr(rest, RSTART, RLENGTH) : substr(rest, 1, keep)
            if (taking && !opens) printf "%s", substr(rest, 1, keep)
            rest = substr(rest, keep + 1)
            if (!opens && --depth == 0 && taking) { print ""; exit }
        }
        if (taking) print rest
    }' "$1" | sed '1s/fill="currentColor" class="figure">/color="#222" fill="#222"><rect width="100%" height="100%" fill="#fff"\/>/'
