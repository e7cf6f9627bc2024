#!/bin/sh
# The tools of a release, its checksums and its archive: dist.sh FOLDER, with the header and the papers in it.
set -eu
MAKE=${MAKE:-make} B=${B:-build}
folder=$1

# name, compiler, file, what has it
tool() {
    if ! command -v "$2" > /dev/null; then
        echo "left out: the tool for $1 (needs $4)"
        return
    fi
    rm -f "$B/dist/vdi" "$B/dist/vdi.exe"
    if ! $MAKE -s --no-print-directory "$B/dist/vdi$5" CC="$2" B="$B/dist/$1" TOOL_AT="$B/dist/vdi$5" \
        CFLAGS="-O2 -ffile-prefix-map=$PWD=." LDFLAGS="-s -static" > "$B/dist/$1.log" 2>&1; then
        echo "left out: the tool for $1 ($2 fails, see $B/dist/$1.log)"
        return
    fi
    cp "$B/dist/vdi$5" "$folder/$3"
    echo "$3: $(wc -c < "$folder/$3") bytes"
}
mkdir -p "$B/dist"
tool linux-x86_64 musl-gcc vdi-linux-x86_64 musl-tools ""
tool linux-aarch64 aarch64-linux-gnu-gcc vdi-linux-aarch64 gcc-aarch64-linux-gnu ""
tool windows-x86_64 x86_64-w64-mingw32-gcc vdi-windows-x86_64.exe gcc-mingw-w64-x86-64 .exe

name=$(basename "$folder")
(cd "$folder" && LC_ALL=C ls | grep -v '^SHA256SUMS$' | xargs sha256sum > ../SHA256SUMS && mv ../SHA256SUMS .)
when=$(git log -1 --format=%ct 2> /dev/null || echo 0)
tar --sort=name --mtime="@$when" --owner=0 --group=0 --numeric-owner --mode=a+rX,u+w,go-w -C "$(dirname "$folder")" -cf - "$name" |
    gzip -9n > "$folder.tar.gz"
sha256sum "$folder.tar.gz"
