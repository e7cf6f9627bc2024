#!/bin/sh
# The browser page as one file: try.sh MODULE.wasm > index.html; its sources are in docs/try.
set -eu
module=$1
here=docs/try
awk -v here="$here" -v module="$module" '
    function whole(file,   line, out) { while ((getline line < file) > 0) print line; close(file) }
    match($0, /\/\*(include [a-z.]*|module)\*\//) {
        what = substr($0, RSTART + 2, RLENGTH - 4)
        printf "%s", substr($0, 1, RSTART - 1)
        if (what == "module") {
            command = "gzip -9nc \"" module "\" | base64 -w 0"
            while ((command | getline line) > 0) printf "%s", line
            close(command)
        } else { print ""; sub(/include /, "", what); whole(here "/" what) }
        print substr($0, RSTART + RLENGTH)
        next
    }
    { print }' "$here/page.html"
