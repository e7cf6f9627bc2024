#!/bin/sh
# What the header declares, as JSON for those who make bindings: api.sh [vdi.h] > api.json
# or the sizes of its structs, as C for the library: api.sh --sizes [vdi.h] > sizes.c
# Types and array sizes are the preprocessor's: a list that a macro writes is there like any other.
set -eu
sizes=0
if [ "${1:-}" = --sizes ]; then
    sizes=1
    shift
fi
header=${1:-vdi.h}
here=$(dirname "$0")
LC_ALL=C ${CC:-cc} -std=c11 -E -C -dD -DVDI_API=VDI_API -x c "$header" | LC_ALL=C awk -v header="$header" -v sizes="$sizes" -f "$here/api.awk"
