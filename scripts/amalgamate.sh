#!/bin/sh
# Makes the single file from include/vdi: amalgamate.sh [include/vdi] > vdi.h
# First every declaration, in the order in which the headers need each other; then every implementation, in the order of the
# umbrella; last the kernel bodies for float32 and float64, which the file includes from itself once per instruction set
# (see kernel/each.h).
set -eu
root=${1:-include/vdi}
exec awk -v root="$root" '
function die(message) { print "amalgamate: " message > "/dev/stderr"; failed = 1; exit 1 }
function normal(path,   n, i, part, out, k) {          # a/b/../c -> a/c
    n = split(path, part, "/"); k = 0
    for (i = 1; i <= n; i++) {
        if (part[i] == ".." && k > 0) k--
        else if (part[i] != "." && part[i] != "") keep[++k] = part[i]
    }
    out = keep[1]
    for (i = 2; i <= k; i++) out = out "/" keep[i]
    return out
}
function dir(path) { sub(/[^\/]*$/, "", path); return path }
function load(path,   line, n) {                       # file[path, i], lines[path], split[path]: where its implementation begins
    if (path in lines) return
    n = 0; cut[path] = 0
    while ((getline line < (root "/" path)) > 0) {
        text[path, ++n] = line
        if (line ~ /^#if defined\(VDI__BODIES\)/ && !cut[path]) cut[path] = n
    }
    close(root "/" path)
    if (n == 0) die("cannot read " root "/" path)
    lines[path] = n
    if (!cut[path]) cut[path] = n + 1
}
function project(line,   name) {                       # the path of a project include, or ""
    if (line !~ /^#include "/) return ""
    name = line; sub(/^#include "/, "", name); sub(/".*/, "", name)
    return name
}
function banner(what) { printf "\n/* ======== %s ======== */\n", what }
function declarations(path,   i, inc) {
    if (path in listed && listed[path] != section) die(path " is needed before its place in vdi.h")
    if (seen[path]++) return
    load(path)
    for (i = 1; i < cut[path]; i++) {
        inc = project(text[path, i])
        if (inc == "" || text[path, i] ~ /repeated/) continue
        inc = normal(dir(path) inc)
        if (!seen[inc]) declarations(inc)
    }
    banner(path)
    for (i = 1; i < cut[path]; i++) {
        inc = project(text[path, i])
        if (inc == "") print text[path, i]
        else if (text[path, i] ~ /repeated/) whole(normal(dir(path) inc))
    }
}
function implementation(path,   i, inc) {
    load(path)
    if (cut[path] > lines[path]) return
    banner(path ", implementation")
    for (i = cut[path]; i <= lines[path]; i++) {
        inc = project(text[path, i])
        if (inc == "") print text[path, i]
        else if (text[path, i] ~ /repeated/) whole(normal(dir(path) inc))
    }
}
function whole(path,   i, inc) {                       # a file that is text, not a chapter
    load(path)
    for (i = 1; i <= lines[path]; i++) {
        inc = project(text[path, i])
        if (inc == "") print text[path, i]
        else if (inc !~ /simd(_end)?\.h$/) whole(normal(dir(path) inc))
    }
}
BEGIN {
    # The umbrella is a comment, the list of headers with the conditions under which each is seen, and the second visit.
    load("vdi.h")
    section = 0                                        # a copy of an unset variable is not equal to 0 in every awk
    for (i = 1; text["vdi.h", i] !~ /^ \*\/$/; i++) ;
    top = i
    for (i = top + 1; i <= lines["vdi.h"]; i++) {
        line = text["vdi.h", i]
        if (line ~ /^#if/ && line ~ /VDI__BODIES/) break
        if (line ~ /^#if/) section = line
        if (line ~ /^#endif/) section = 0
        inc = project(line)
        if (inc != "") { order[++count] = inc; listed[inc] = section }
    }
    last = i - 1
    if (text["vdi.h", last] ~ /^\/\*.*\*\/$/) last--
    for (i = 1; i <= top; i++) print text["vdi.h", i]
    print "/* This file is generated from include/vdi by `make vdi.h`: edit there. */"
    print "#define VDI__SINGLE_FILE 1"
    print "#ifndef VDI__PASS"
    for (i = top + 1; i <= last; i++) {
        line = text["vdi.h", i]
        if (line ~ /^#if/) section = line
        if (line ~ /^#endif/) section = 0
        inc = project(line)
        if (inc != "") declarations(inc)
        else print line
    }
    print "\n/* ======================== implementation ======================== */"
    print "#if defined(VDI__WANTED)\n#define VDI__BODIES"
    for (k = 1; k <= count; k++) implementation(order[k])
    print "#undef VDI__BODIES\n#endif /* VDI__WANTED */"
    banner("core/names_end.h"); whole("core/names_end.h")
    # Both real types in one visit: to skip the rest of the file takes gcc as long as to read the bodies.
    print "\n#else /* VDI__PASS: the file includes itself for the kernel bodies of one instruction set */"
    for (real = 32; real <= 64; real += 32) {
        print "#define VDI__REAL " real
        banner("kernel/simd.h")
        whole("kernel/simd.h")
        print "#if VDI__PASS == 1"
        banner("kernel bodies, float" real); whole("kernel/pass.h")
        print "#endif"
        # with the kernels where both are wanted, likewise
        print "#if VDI__PASS == 2 || defined(VDI_LINALG_IMPLEMENTATION)"
        banner("linalg bodies, float" real); whole("linalg/pass.h")
        print "#endif"
        whole("kernel/simd_end.h")
        print "#undef VDI__REAL"
    }
    print "#endif /* VDI__PASS */"
    exit failed
}' </dev/null
