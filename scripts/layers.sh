#!/bin/sh
# Proves that arrows point down only: model -> grad -> linalg -> kernel -> core, io -> core, and between models only the edges below. A file.h of a family stands on io too.
#     layers.sh [include/vdi]
set -eu
root=${1:-include/vdi}
find "$root" -name '*.h' | LC_ALL=C sort | xargs awk -v root="$root/" '
BEGIN {
    level["core"] = 1; level["kernel"] = 2; level["linalg"] = 3; level["grad"] = 4; level["model"] = 5; level["io"] = 2
    split("plds>lds vilds>lds vilds>plds deepspike>calcium sacd>env", list, " ")
    for (i in list) edge[list[i]] = 1
}
function complain(why) { printf "%s:%d: %s\n", FILENAME, FNR, why; bad++ }
/^ *# *include *"/ {
    from = substr(FILENAME, length(root) + 1)
    to = $0; sub(/^[^"]*"/, "", to); sub(/".*/, "", to)
    folder = from; if (!sub(/\/.*/, "", folder)) next                # the umbrella sees all
    room = from; sub(/[^\/]*$/, "", room)                            # from where the path is read
    while (sub(/^\.\.\//, "", to)) sub(/[^\/]*\/$/, "", room)
    to = room to
    other = to; if (!sub(/\/.*/, "", other)) { complain("includes " to ", which is in no layer"); next }
    includes++
    if (!(folder in level)) complain(folder " is no layer")
    else if (!(other in level)) complain(other " is no layer")
    else if (other == "io" && from ~ /^model\/[a-z]*\/file\.h$/) next  # a family may know files, in one place on top of both
    else if (folder == "io" ? other != "io" && other != "core" : other == "io" || level[other] > level[folder])
        complain(folder " may not include " other)
    if (folder == "model" && other == "model") {
        split(from, path, "/"); a = path[2]                           # model/lds/em.h is of the family lds
        split(to, path, "/"); b = path[2]
        if (a != b && !((a ">" b) in edge)) complain("model/" a " may not include model/" b)
    }
}
END {
    if (!includes) { print "no include was found under " root; exit 1 }
    if (bad) exit 1
    print includes " includes, all of them downwards"
}'
