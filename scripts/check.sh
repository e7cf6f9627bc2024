#!/bin/sh
# What a change has to pass, one function per step.
#     check.sh NAME              run one step: prints one line, and its log if it failed (make check-NAME)
#     check.sh --list            the names, in order
#     check.sh --summary FOLDER  what came out, as one line
# A step that needs a tool which is not installed is skipped, and says which package has it.
set -u
export LC_ALL=C
MAKE=${MAKE:-make} CC=${CC:-cc} B=${B:-build}
TREE=include/vdi
WARN="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror"
WARN_C="$WARN -Wstrict-prototypes -Wmissing-prototypes"
WARN_CXX="$WARN -Wmissing-declarations"

# ---- words ---------------------------------------------------------------------------------------------------------------

need() { # need PROGRAM PACKAGE
    command -v "$1" > /dev/null || { echo "needs $2" > "$note"; exit 77; }
}
say() { echo "$*" > "$note"; }                           # what the step's line adds
die() { echo "$*"; exit 1; }
run() { echo "+ $*"; "$@" || exit 1; }                   # a command of a step; a failure ends it
cpu() { # user CPU seconds of a command
    ("$@" > /dev/null 2>&1; times) | awk 'NR == 2 { split($1, t, /[ms]/); print t[1] * 60 + t[2] }'
}
modules() { sed -n 's/.*defined(\(VDI_[A-Z_]*IMPLEMENTATION\)).*/\1/p; s/^#define \(VDI_[A-Z_]*IMPLEMENTATION\)$/\1/p' $TREE/core/config.h | sort -u; }
minimum() { awk -v s="$1" '$1 == s { n = $2 } END { print n + 0 }' tests/counts; }

# the four compilers: their command, and the warnings that they know
compiler() {
    case $1 in
    gcc) need gcc gcc; echo "gcc -std=c11 $WARN_C" ;;
    clang) need clang clang; echo "clang -std=c11 $WARN_C" ;;
    gxx) need g++ g++; echo "g++ -std=c++17 -x c++ $WARN_CXX" ;;
    clangxx) need clang++ clang; echo "clang++ -std=c++17 -x c++ $WARN_CXX" ;;
    esac
}

# ---- the text ------------------------------------------------------------------------------------------------------------

step_layers() { run sh scripts/layers.sh $TREE; }

# No header needs itself by a detour.
step_circles() {
    find $TREE examples/vdi -name '*.h' | LC_ALL=C sort | xargs awk '
        FNR == 1 { count++; file[count] = FILENAME }
        /^ *# *include *"/ {
            to = $0; sub(/^[^"]*"/, "", to); sub(/".*/, "", to)
            room = FILENAME; sub(/[^\/]*$/, "", room)
            while (sub(/^\.\.\//, "", to)) sub(/[^\/]*\/$/, "", room)
            edge[FILENAME, ++out[FILENAME]] = room to
        }
        function visit(f,   i, g) {
            state[f] = 1
            for (i = 1; i <= out[f]; i++) {
                g = edge[f, i]
                if (state[g] == 1 && g != f) { print "a circle: " f " -> " g; bad = 1 }
                else if (!state[g]) visit(g)
            }
            state[f] = 2
        }
        END { for (k = 1; k <= count; k++) if (!state[file[k]]) visit(file[k]); exit bad }' || exit 1
    say "none"
}

# Each family of models can be deleted with those that stand on it, and the rest builds.
above() { # above FAMILY: it, and all that include it
    list=$1 more=$1
    while [ -n "$more" ]; do
        next=
        for family in $more; do
            for path in $(grep -l "\"\.\./$family/" $TREE/model/*/*.h); do
                path=${path#"$TREE"/model/} path=${path%%/*}
                case " $list $next " in *" $path "*) ;; *) next="$next $path" ;; esac
            done
        done
        list="$list$next" more=$next
    done
    echo "$list"
}
step_families() {
    for family in $(cd $TREE/model && echo *); do
        rm -rf "$dir/tree"
        cp -r $TREE "$dir/tree"
        gone=$(above "$family")
        for name in $gone; do
            rm -r "$dir/tree/model/$name"
            sed "/^#include \"model\/$name\//d" "$dir/tree/vdi.h" > "$dir/umbrella" && mv "$dir/umbrella" "$dir/tree/vdi.h"
        done
        run gcc -std=c11 $WARN_C -fsyntax-only "-I$dir/tree" -DVDI_IMPLEMENTATION tests/header/include.c
        told="${told:-}, $gone"
    done
    say "${told#, }"
}

# The committed .clang-format decides (version 14), and no function is longer than a page and a half. Python is formatted by black
# (version 23), the pages by prettier (version 3), which reads .editorconfig.
sources() { git ls-files '*.c' '*.h' '*.cpp' '*.hpp' 2> /dev/null | grep -v '^vdi\.h$\|/weights\.h$'; }
step_format() {
    need clang-format clang-format-14
    sources | xargs clang-format --dry-run -Werror || exit 1
    sources | grep '\.[ch]$' | xargs awk '
        function ends() { if (length_of > 80) { print FILENAME ": " name " has " length_of " lines, at most 80"; bad = 1 } }
        FNR == 1 { inside = 0 }
        /^[^ #\/}].*[^;]$/ && !/^(typedef|struct|enum|union|static const|extern)/ { if (!inside) name = $0 }
        /^\{$/ || /^[^ #\/}].*\) \{$/ || (/^ .*\) \{$/ && !inside) { if (!inside && !/^(typedef|struct|enum|union)/) { inside = 1; length_of = 0 } }
        inside { length_of++ }
        /^\}/ { if (inside) { ends(); inside = 0 } }
        END { exit bad }' || exit 1
    git ls-files '*.py' '*.js' '*.mjs' '*.css' | xargs awk '
        length > 100 { print FILENAME ":" FNR ": " length " columns, at most 100"; bad = 1 }
        END { exit bad }' || exit 1
    case $(black --version 2> /dev/null) in
    *" 23."*) git ls-files '*.py' | xargs black -q --check -l 100 || die "not what black -l 100 makes of it" ;;
    esac
    case $(prettier --version 2> /dev/null) in
    3.*) git ls-files '*.js' '*.mjs' '*.css' | xargs prettier --log-level warn --check || exit 1 ;;
    esac
    say "$(sources | wc -l | tr -d ' ') files"
}

# The committed single file is what the tree generates, with each awk that is here. `make check` has brought the working copy up to date.
step_stale() {
    for awk in mawk gawk "busybox awk" original-awk; do
        # shellcheck disable=SC2086
        command -v ${awk%% *} > /dev/null || continue
        mkdir -p "$dir/bin"
        printf '#!/bin/sh\nexec %s "$@"\n' "$awk" > "$dir/bin/awk" && chmod +x "$dir/bin/awk"
        PATH="$PWD/$dir/bin:$PATH" sh scripts/amalgamate.sh $TREE > "$dir/vdi.h" || die "amalgamate.sh failed with $awk"
        diff -u vdi.h "$dir/vdi.h" > "$dir/diff" || { head -n 20 "$dir/diff"; die "vdi.h is not what $awk makes of include/vdi: run make vdi.h and commit it"; }
        tried="${tried:-}, $awk"
    done
    if git rev-parse -q --verify HEAD > /dev/null 2>&1; then
        git diff --quiet HEAD -- vdi.h || die "the committed vdi.h is not what include/vdi makes: commit it"
    fi
    say "${tried#, }"
}

# Rooms that grew too large (a table of weights is no room), work left open, and paths of a machine have no place in what is committed.
step_text() {
    find $TREE -name "*.h" -exec wc -l {} + | awk '$2 != "total" && $2 !~ /\/weights\.h$/ && $1 > 1200 { print "warning: " $2 " has " $1 " lines; would two files be easier to find?" }'
    open='TO''DO|FIX''ME|XX''X|HA''CK|st''ub|place''holder|not impl''emented|unimpl''emented'
    ! grep -rnwE "$open" include examples bench tests scripts Makefile || die "left open"
    ! git grep -nIE '(/wo''rk/|/fa''rm/|/ro''ot/|\.libr''ary)' -- . || die "a path of one machine"
    ! git grep -nIE '[[:space:]]+$' -- '*.h' '*.c' '*.sh' '*.md' Makefile ':!vdi.h' || die "space at the end of a line"
    warnings=$(find $TREE -name "*.h" -exec wc -l {} + | awk '$2 != "total" && $2 !~ /\/weights\.h$/ && $1 > 1200 { n++ } END { print n + 0 }')
    [ "$warnings" = 0 ] || say "$warnings headers over 1,200 lines"
}

# The library reads and writes numbers by core/text.h alone: what the C library offers for it depends on the locale, and so do its texts.
step_locale() {
    words='strto[dfilmu][a-z]*|ato[filq][a-z]*|[a-z]*printf|[a-z]*scanf|setlocale|localeconv|strerror[a-z_]*|strftime|strcoll|strxfrm'
    words="$words|is(alnum|alpha|blank|cntrl|digit|graph|lower|print|punct|space|upper|xdigit)|to(lower|upper)|mb[a-z]*towc[a-z]*|wc[a-z]*tomb[a-z]*"
    ! grep -rnE "(^|[^a-zA-Z0-9_])($words)\(" $TREE --include='*.h' | grep -vE ':[0-9]+: ?\*|format\(printf' || die "depends on the locale"
    ! grep -rnE '(^|[^a-zA-Z0-9_])lgammaf?\(' $TREE --include='*.h' || die "libm's lgamma writes the global signgam; vdi_lgamma does not"
}

# ---- the header as its users include it ----------------------------------------------------------------------------------

# Each header of the tree stands alone (bodies and passes are text, not headers).
step_alone() {
    need g++ g++
    for header in $(cd $TREE && find . -name '*.h' | sed 's/^..//' | sort); do
        case $header in core/names_*.h | *_body.h | */pass.h | */passes.h | */each.h | */simd.h | */simd_[!s]*.h | */simd_scalar.h | */simd_sse2.h) continue ;; esac
        printf '#include "%s"\n#include "%s"\ntypedef int vdi_not_empty;\n' "$header" "$header" > "$dir/alone.c"
        run gcc -std=c11 $WARN_C -fsyntax-only -I$TREE "$dir/alone.c"
        run g++ -std=c++17 -x c++ $WARN_CXX -fsyntax-only -I$TREE "$dir/alone.c"
    done
}

# No warning, in any mode. The front end alone sees most of them, in a tenth of the time; what needs the optimiser's eye shows at -O2.
modes() {
    cc=$(compiler "$1") || exit $?
    for where in $TREE .; do
        run $cc -fsyntax-only -I$where tests/header/include.c
        run $cc -fsyntax-only -I$where -DVDI_IMPLEMENTATION tests/header/include.c
        run $cc -fsyntax-only -I$where -DVDI_IMPLEMENTATION -DVDI_STATIC tests/header/include.c
        run $cc -fsyntax-only -I$where tests/header/late.c
    done
    run $cc -fsyntax-only -I. -DVDI_IMPLEMENTATION "-DVDI_ASSERT(x)=((x)?(void)0:__builtin_trap())" tests/header/include.c
    run $cc "$2" -c -o "$dir/a.o" -I. -DVDI_IMPLEMENTATION tests/header/include.c
}
step_gcc() {
    modes gcc -O2
    # variables without a value: gcc looks for them in all of the library at -Os alone (core/glue_begin.h)
    run $cc -Os -c -o "$dir/a.o" -I. -DVDI_IMPLEMENTATION -DVDI_NO_SIMD tests/header/include.c
}
step_clang() { modes clang -O2; }
step_gxx() { modes gxx -O0; }
step_clangxx() { modes clangxx -O0; }

# A user's macros with the names that vdi uses inside: before the header and after it, and they come back as they were.
step_names() {
    for which in gcc clang gxx clangxx; do
        cc=$(compiler $which) || exit $?
        for where in $TREE .; do run $cc -fsyntax-only -I$where tests/header/hostile.c; done
    done
    ! command -v tcc > /dev/null || run tcc -std=c11 -Wall -Werror -I. -c tests/header/hostile.c -o "$dir/a.o"
    say "$(grep -c '^#define' tests/header/macros.h) macros"
}

# Each module by itself, and each switch. gcc sees what is declared static and has no body, clang what has a body and no use, so gcc is
# shown static copies and clang plain ones.
subsets() { # subsets COMPILER FLAG
    cc=$(compiler "$1") || exit $?
    n=0
    try() { run $cc -fsyntax-only -I. "$@" tests/header/include.c; n=$((n + 1)); }
    for module in $(modules); do try "-D$module" "$2"; done
    for switch in NO_SIMD NO_SSE2 NO_AVX2 NO_AVX512 NO_THREADS NO_STDIO; do try -DVDI_IMPLEMENTATION "-DVDI_$switch"; done
    try -DVDI_IMPLEMENTATION -DVDI_STATIC -DVDI_NO_SIMD -DVDI_NO_THREADS -DVDI_NO_STDIO
    try -DVDI_STATIC
    try -DVDI_IMPLEMENTATION '-DVDI_API=__attribute__((visibility("hidden")))'
    say "$n combinations"
}
step_subsetsgcc() { subsets gcc -DVDI_STATIC; }
step_subsetsclang() { subsets clang -UVDI_STATIC; }

# Two files, C and C++, one copy or a static one in each; and a renamed copy in a folder that includes itself.
step_link() {
    need g++ g++
    h=tests/header
    mkdir -p "$dir/sub"
    sed 's/x/x/' vdi.h > "$dir/sub/renamed.h"
    run gcc -std=c11 -O0 -I. -c tests/vdi_impl.c -o "$dir/impl.o"
    run g++ -std=c++17 -x c++ -O0 -I. -c tests/vdi_impl.c -o "$dir/impl_cxx.o"
    run gcc -std=c11 -I. $h/main.c $h/other.c "$dir/impl.o" -o "$dir/one" -lm -lpthread
    run g++ -std=c++17 -x c++ -I. $h/main.c -x c $h/other.c -x none "$dir/impl.o" -o "$dir/mixed" -lm -lpthread
    run gcc -std=c11 -I. -c $h/main.c -o "$dir/main.o"
    run gcc -std=c11 -I. -c $h/other.c -o "$dir/other.o"
    run g++ "$dir/main.o" "$dir/other.o" "$dir/impl_cxx.o" -o "$dir/mixed2" -lm -lpthread
    run gcc -std=c11 -O0 -I. -DVDI_STATIC -DVDI_KERNEL_IMPLEMENTATION $h/main.c $h/other.c -o "$dir/static" -lm -lpthread
    run gcc -std=c11 -O0 "-I$dir" -DVDI_STATIC -DVDI_KERNEL_IMPLEMENTATION '-DHEADER="sub/renamed.h"' '-DVDI_SELF="renamed.h"' \
        $h/main.c $h/other.c -o "$dir/renamed" -lm -lpthread
    for part in 1 2 3 4; do run gcc -std=c11 -O0 -I. "-DVDI_IMPLEMENTATION_PART=$part" -c tests/vdi_impl.c -o "$dir/part$part.o"; done
    run gcc -std=c11 -I. $h/main.c $h/other.c "$dir/part1.o" "$dir/part2.o" "$dir/part3.o" "$dir/part4.o" -o "$dir/parts" -lm -lpthread
    nm -g --defined-only "$dir/impl.o" | awk '{ print $3 }' | sort > "$dir/whole.names"
    nm -g --defined-only "$dir"/part?.o | awk 'NF == 3 && $3 !~ /^vdi__/ { print $3 }' | sort > "$dir/parts.names"
    cmp "$dir/whole.names" "$dir/parts.names" || die "the parts do not define what the whole does, each name once"
    for program in one mixed mixed2 static renamed parts; do run "$dir/$program"; done
}

# Only vdi_ leaves the object, nothing in static mode; one mutable global; nobody aborts, prints, or asks for the time.
step_symbols() {
    run gcc -std=c11 -O0 -fno-pic -I. -DVDI_IMPLEMENTATION -c tests/header/include.c -o "$dir/all.o"
    run gcc -std=c11 -O0 -I. -DVDI_IMPLEMENTATION -DVDI_STATIC -c tests/header/include.c -o "$dir/static.o"
    run gcc -std=c11 -O0 -I. -DVDI_IMPLEMENTATION -DVDI_NO_STDIO -DVDI_NO_THREADS -c tests/header/include.c -o "$dir/quiet.o"
    nm -g --defined-only "$dir/all.o" | awk 'NF == 3 && $3 != "header_include" && $3 !~ /^vdi_[a-z0-9]/ { print "exported: " $3; bad = 1 } END { exit bad }' || exit 1
    nm -g --defined-only "$dir/static.o" | awk 'NF == 3 && $3 != "header_include" { print "exported in static mode: " $3; bad = 1 } END { exit bad }' || exit 1
    nm "$dir/all.o" | awk '$2 ~ /^[bBdDC]$/ && $3 != "vdi__simd_index" { print "mutable global: " $3; bad = 1 } END { exit bad }' || exit 1
    nm -u "$dir/all.o" | awk '$2 ~ /^(abort|exit|_exit|__assert_fail|printf|puts|putchar|perror|rand|srand|time|clock|getenv|setlocale|system|signal)$/ ||
        $2 ~ /^__printf_chk|^(stdout|stderr|stdin)$/ { print "calls " $2; bad = 1 } END { exit bad }' || exit 1
    nm -u "$dir/quiet.o" | awk '$2 ~ /^(f|v|s|vs|vf)n?printf|^(fopen|fread|fwrite|fclose|fseek|ftell)$|^pthread/ { print "with VDI_NO_STDIO and VDI_NO_THREADS, calls " $2; bad = 1 }
        END { exit bad }' || exit 1
    say "$(nm -g --defined-only "$dir/all.o" | wc -l | tr -d ' ') functions exported"
}

# Only VDI macros remain defined after the include, beside those of the standard headers that it brings.
step_macros() {
    for mode in "" -DVDI_IMPLEMENTATION; do
        std=$(sed -n 's/^ *# *include <\(.*\)>.*/#include <\1>/p' vdi.h | grep -v 'windows\.h\|arm_neon\|wasm' | sort -u)
        echo "$std" > "$dir/std.c"
        echo '#include "vdi.h"' > "$dir/vdi.c"
        run gcc -std=c11 -dM -E "$dir/std.c" -o "$dir/before"
        run gcc -std=c11 -I. $mode -dM -E "$dir/vdi.c" -o "$dir/after"
        awk 'NR == FNR { sub(/\(.*/, "", $2); known[$2] = 1; next }
            { sub(/\(.*/, "", $2); if (!($2 in known) && $2 !~ /^VDI_/) { print "left defined: " $2; bad = 1 } n += $2 ~ /^VDI_/ }
            END { print n " VDI macros"; exit bad }' "$dir/before" "$dir/after" || exit 1
    done
    # the vector language belongs to a pass, and ends with it
    sed -n 's/^ *# *define \(VDI_[A-Z0-9][A-Za-z0-9_]*\).*/\1/p' $TREE/kernel/simd.h $TREE/kernel/simd_scalar.h $TREE/kernel/simd_avx2.h |
        awk 'NR == FNR { word[$1] = 1; next } { sub(/\(.*/, "", $2); if ($2 in word) { print "left defined: " $2; bad = 1 } } END { exit bad }' \
            - "$dir/after" || exit 1
}

# User CPU time in units of a reference, which is compiled before and after each try: "seconds" are those of a machine that compiles the
# reference in 2.6. The best of up to two tries counts, since noise only ever adds. The bar is the design's; what does not meet it yet is
# told in the step's line, and may not grow beyond the ceiling.
reference() { # 120 functions of loops, branches and calls, which no change of vdi touches
    awk 'BEGIN {
        print "#include <stddef.h>\n#include <stdint.h>\n#include <string.h>"
        for (f = 0; f < 120; f++) {
            printf "double f%d(size_t n, const double *x, double *y, const uint8_t *s) {\n", f
            print "double a = 0, b[8] = {0};\nuint32_t h = " f ";"
            print "for (size_t i = 0; i < n; i++) {\nh = h * 33u + s[i];\nswitch (h & 7u) {"
            for (k = 0; k < 8; k++) {
                printf "case %d: b[%d] += x[i] * %d.5 + b[%d]; ", k, k, k + f, (k + 3) % 8
                printf "if (s[i] > %d) a += b[%d]; break;\n", 16 * k, (k + 5) % 8
            }
            print "}\ny[i] = a + b[i % 8];\n}\nfor (size_t i = 0; i + 8 < n; i++) {"
            print "for (int j = 0; j < 8; j++) y[i] = y[i] * x[i + (size_t)j] + b[j];\n}"
            if (f) printf "if (a > %d) a += f%d(n / 2, y, b, s + 1);\n", f, f - 1
            print "memcpy(y, b, n < 8 ? n * sizeof *b : sizeof b);\nreturn a;\n}"
        }
    }'
}
within() { # within BAR CEILING WHAT FLAGS...
    bar=$1 ceiling=$2 what=$3 best=
    shift 3
    for _ in 1 2; do
        r=$(cpu gcc -std=c11 -O2 -c "$dir/reference.c" -o "$dir/r.o")
        t=$(cpu gcc -std=c11 -O2 -I. "$@" -c tests/header/include.c -o "$dir/a.o")
        r=$r+$(cpu gcc -std=c11 -O2 -c "$dir/reference.c" -o "$dir/r.o")
        [ -s "$dir/a.o" ] || die "$what does not compile"
        best=$(awk -v t="$t" -v a="${r%+*}" -v b="${r#*+}" -v best="${best:-1e9}" 'BEGIN { t *= 2 * 2.6 / (a + b); print t < best ? t : best }')
        if awk -v a="$best" -v b="$bar" 'BEGIN { exit !(a < b) }'; then break; fi
    done
    size "$dir/a.o" | awk -v t="$best" -v l="$bar" -v w="$what" \
        'NR == 2 { printf "%s %.2f s (bar %s%s), %d KB\n", w, t, l, t < l ? "" : ", MISSED", ($1 + $2) / 1024 }' | tee -a "$dir/table"
    awk -v a="$best" -v b="$ceiling" 'BEGIN { exit !(a < b) }' || over="${over:-} $what took $best s, more than $ceiling;"
    rm -f "$dir/a.o"
}
step_budget() {
    rm -f "$dir/table"
    reference > "$dir/reference.c"
    within 0.1 0.3 declarations
    within 9 14 "core to linalg" -DVDI_LINALG_IMPLEMENTATION
    within 12 15 "linear dynamical systems" -DVDI_LDS_IMPLEMENTATION
    within 20 27 all -DVDI_IMPLEMENTATION
    within 4 5 io -DVDI_IO_IMPLEMENTATION
    within 2 3 oasis -DVDI_OASIS_IMPLEMENTATION
    say "$(awk '{ printf "%s%s", sep, $0; sep = "; " }' "$dir/table")"
    [ -z "${over:-}" ] || die "over the ceiling:$over"
}

# ---- the papers ----------------------------------------------------------------------------------------------------------

# Links, pictures, targets, paths and quoted code of the pages.
step_links() { run sh scripts/links.sh; }

step_snippets() {
    run sh scripts/snippets.sh "$dir/c"
    run gcc -std=c11 -O1 -I. -c tests/vdi_impl.c -o "$dir/impl.o" # once, for all programs
    count=0
    for source in "$dir"/c/*.c; do
        [ -f "$source" ] || continue
        count=$((count + 1))
        if grep -q 'int main(' "$source"; then
            run gcc -std=c11 -O1 -Wall -Wextra -Werror -I. "$source" "$dir/impl.o" -o "$dir/program" -lm -lpthread
            run "$dir/program" > "$dir/printed"
            sed 1d "$dir/printed" > "$dir/output"
            if [ -f "${source%.c}.txt" ]; then run diff -u "${source%.c}.txt" "$dir/output"; fi
        else
            run gcc -std=c11 -fsyntax-only -Wall -Wextra -Wno-unused -Wno-unused-result -Wno-missing-field-initializers -Werror -I$TREE -Itests/header "$source"
        fi
    done
    say "$count compiled"
}

step_examples() {
    for source in examples/*.c bench/*.c scripts/*.c; do
        [ -f "$source" ] || continue
        run gcc -std=gnu11 -fsyntax-only -Wall -Wextra -Werror -I. "$source"
    done
    # one path beside the scalar one: what the examples show does not depend on it, and each of them compiles the whole library
    run $MAKE -s --no-print-directory examples "$B/quick/scripts/pretrain" B="$B/quick" CFLAGS="-O2 -DVDI_NO_SSE2 -DVDI_NO_AVX2"
    run "$B/quick/scripts/pretrain"
}

# The tool as a stranger uses it.
step_tool() {
    run $MAKE -s --no-print-directory vdi B="$B"
    sh tests/sacd.sh ./vdi > "$dir/out" 2>&1
    rc=$?
    sh tests/tool_values.sh ./vdi >> "$dir/out" 2>&1 || rc=1
    sh tests/tool.sh ./vdi >> "$dir/out" 2>&1 || rc=1
    cat "$dir/out"
    say "$(tail -n 1 "$dir/out")"
    return $rc
}

# The simulators on Box2D: recordings of the original, where those are, and mean returns that are known (docs/results/environments.md).
step_box2d() {
    printf '#include <box2d/box2d.h>\n' | ${CXX:-g++} -E -x c++ - > /dev/null 2>&1 || { echo "needs libbox2d-dev" > "$note"; exit 77; }
    run $MAKE -s --no-print-directory box2d B="$B"
    gym=${VDI_SHARED:-../shared}/data/gym
    if [ -f "$gym/lunarlander_00.npz" ]; then run "$B/box2d/lunar_lander" --replay "$gym"/lunarlander_*.npz; fi
    run "$B/box2d/lunar_lander" --play heuristic --expect 281.8,2.39
    run "$B/box2d/lunar_lander" --play random --expect -225.2,3.2
    run "$B/box2d/bipedal_walker" --play random --episodes 100 --expect -99.8,0.7
}

# A Cortex-M4 of bare metal: a solver, spikes, and the policy of an agent alone.
step_bare() {
    need arm-none-eabi-gcc gcc-arm-none-eabi
    need qemu-system-arm qemu-system-arm
    run sh scripts/matrix.sh cortexm4
}

step_scripts() {
    need shellcheck shellcheck
    run shellcheck -s sh -e SC2086,SC2046,SC2016,SC2010,SC2013,SC2035 scripts/*.sh
}

# ---- the tests, where they are not usually run -----------------------------------------------------------------------------

# Criterion's suites with every sanitizer that works inside it.
step_asan() {
    printf '#include <criterion/criterion.h>\n' | $CC -E -x c - > /dev/null 2>&1 || { echo "needs libcriterion-dev" > "$note"; exit 77; }
    san="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
    VDI_TEST_SCALE=${VDI_TEST_SCALE:-0.25}
    export VDI_TEST_SCALE
    $MAKE --no-print-directory suites B="$B/asan" CFLAGS="$san" LDFLAGS="$san" > "$dir/out" 2>&1
    rc=$?
    cat "$dir/out"
    say "$(tail -n 1 "$dir/out")"
    return $rc
}

# The tool under both sanitizers: all that its scripts do, and a full disk. Kernels are watched by the suites; here one path has to do.
step_asantool() {
    need gcc gcc
    # with -O1 the vector language is a function call for each operation, and a fit takes four times as long
    san="-O2 -g1 -DVDI_NO_SSE2 -DVDI_NO_AVX512 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
    objects=$(find examples/vdi -name "*.c" | sed "s|examples/vdi/\(.*\)\.c|$B/asantool/tool/\1.o|")
    run $MAKE -s --no-print-directory B="$B/asantool" CFLAGS="$san" CC=gcc $objects
    run gcc $san $objects -o "$dir/vdi" -lm -lpthread
    # the leaks of a process that ends are none, and where ptrace is refused they cannot be looked for
    ASAN_OPTIONS=detect_leaks=0:log_path=$PWD/$dir/report UBSAN_OPTIONS=print_stacktrace=1:log_path=$PWD/$dir/report
    VDI_TEST_SANITIZED=1 VDI_TEST_PATIENCE=${VDI_TEST_PATIENCE:-20} VDI_TEST_KILLS=${VDI_TEST_KILLS:-3}
    export ASAN_OPTIONS UBSAN_OPTIONS VDI_TEST_SANITIZED VDI_TEST_PATIENCE VDI_TEST_KILLS
    rc=0 said=
    for script in tool_values sacd tool; do
        sh tests/$script.sh "$dir/vdi" > "$dir/out" 2>&1 || rc=1
        cat "$dir/out"
        said="$said$(tail -n 1 "$dir/out"); "
    done
    mkdir -p "$dir/disk"
    if mount -t tmpfs -o size=1m tmpfs "$dir/disk" 2> /dev/null; then
        sh tests/full_disk.sh "$PWD/$dir/vdi" "$PWD/$dir/disk" > "$dir/out" 2>&1 || rc=1
        cat "$dir/out"
        said="${said}full disk: $(tail -n 1 "$dir/out")"
        umount "$dir/disk"
    else
        said="${said}full disk: may not mount one here"
    fi
    for report in "$dir"/report.*; do
        [ ! -s "$report" ] || { rc=1; cat "$report"; }
    done
    say "$said"
    return $rc
}

portable() { # portable SUBFOLDER ARGS make-variables...
    sub=$1 args=$2
    shift 2
    $MAKE --no-print-directory portable B="$B/$sub" ARGS="--at-least $(minimum portable) $args" "$@" > "$dir/out" 2>&1
    rc=$?
    cat "$dir/out"
    say "$(sed -n 's/^vdi [^,]*, path \([a-z0-9]*\) of.*/\1/p; /^[0-9]* passed, /p' "$dir/out" | tr '\n' ' ')"
    return $rc
}
slow() { VDI_TEST_SCALE=${VDI_TEST_SCALE:-0.1}; export VDI_TEST_SCALE; }
# what learns for a minute does so under the address sanitizer and on every native path; here its parts are tested
emulated() { slow; VDI_TEST_EMULATED=1; export VDI_TEST_EMULATED; }

qemu() { emulated; VDI_TEST_NO_FORK=1; export VDI_TEST_NO_FORK; }

step_simd() { # each path that this processor has, by name
    VDI_TEST_SCALE=${VDI_TEST_SCALE:-0.25}; export VDI_TEST_SCALE
    ran=
    for path in $("$B/portable/run" none | sed -n 's/.* of //p'); do
        "$B/portable/run" --simd "$path" --expect "$path" --at-least "$(minimum portable)" > "$dir/out" 2>&1 && rc=0 || rc=1
        cat "$dir/out"
        [ $rc = 0 ] || exit 1
        ran="$ran $path"
    done
    say "each of$ran"
}
# Every public function is called by a test; tests/descs.c sets every field of every description.
step_called() {
    nm -g --defined-only "$B"/vdi_impl-*.o | awk '$2 == "T" && $3 !~ /^vdi__/ { print $3 }' | sort -u > "$dir/public"
    nm -u "$B"/portable/*.o | awk '$1 == "U" { print $2 }' | sort -u > "$dir/used"
    comm -23 "$dir/public" "$dir/used" > "$dir/never"
    [ ! -s "$dir/never" ] || { cat "$dir/never"; die "no test calls these"; }
    for table in $(grep -o 'vdi_[a-z_]*_desc_fields$' "$dir/public"); do
        name=${table#vdi_} name=${name%_desc_fields}
        grep -q "ROW($name)\|$table" tests/*.c || die "$table is in no test"
    done
    say "$(wc -l < "$dir/public" | tr -d ' ') functions"
}
# No public call takes more than 32 KiB of stack, measured while the suites run on each path; and examples run in a thread of 64 KiB.
step_stack() {
    need gcc gcc; emulated
    VDI_TEST_SCALE=0.02
    run gcc -std=gnu11 -O1 -Wall -Wextra -Wno-frame-address -Werror -c tests/portable/stack.c -o "$dir/stack.o"
    run gcc -std=gnu11 -O1 -Wall -Wextra -Werror -c tests/portable/small_stack.c -o "$dir/small.o"
    run gcc -rdynamic "$B"/portable/*.o "$B/instrumented.o" "$dir/stack.o" -o "$dir/run" -lm -lpthread -ldl
    for path in $("$B/portable/run" none | sed -n 's/.* of //p'); do
        run "$dir/run" --simd "$path" --at-least "$(minimum portable)" > "$dir/out" || { cat "$dir/out"; exit 1; }
        cat "$dir/out"
        told="${told:-}, $path $(sed -n 's/^stack: .* at most \([0-9]*\) .*/\1/p' "$dir/out")"
    done
    for name in blocktri deepspike flds lds oasis sacd stream tape vilds; do
        run gcc -std=gnu11 -O2 -w -Dmain=example_main -I. -c examples/$name.c -o "$dir/example.o"
        run gcc -rdynamic "$dir/example.o" "$dir/small.o" "$B/instrumented.o" "$dir/stack.o" -o "$dir/example" -lm -lpthread -ldl
        (cd "$dir" && ./example > example.log) || { tail -n 20 "$dir/example.log"; die "$name fails in a thread of 64 KiB"; }
    done
    say "bytes of 32768: ${told#, }; nine examples in 64 KiB"
}
# Nothing traps inside the library where the numbers are finite: no lane of padding, no branch that is not taken.
step_traps() {
    need gcc gcc; emulated
    VDI_TEST_SCALE=0.02
    run gcc -std=gnu11 -O1 -Wall -Wextra -Werror -c tests/portable/traps.c -o "$dir/traps.o"
    run gcc -rdynamic "$B"/portable/*.o "$B/instrumented.o" "$dir/traps.o" -o "$dir/run" -lm -lpthread -ldl
    for path in $("$B/portable/run" none | sed -n 's/.* of //p'); do
        run "$dir/run" --verbose --simd "$path" --at-least "$(minimum portable)" > "$dir/out" || { cat "$dir/out"; exit 1; }
        awk 'FNR == NR { may[$1] = 1; next }
            /^trap: / { n[$0]++; next }
            /^(ok|skip) / { for (t in n) { if (!($2 in may)) { print n[t], "times in " $2 ": " t; bad = 1 } delete n[t] } }
            END { exit bad }' tests/portable/not_finite "$dir/out" || die "on $path (addr2line -f -e $dir/run ADDRESS knows a number's name)"
        told="${told:-}, $path"
    done
    say "none on${told#,}"
}
step_comma() { # what is written and read does not depend on a decimal comma
    need localedef locales
    localedef -i de_DE -f UTF-8 "$dir/de_DE.UTF-8" > /dev/null 2>&1
    [ -d "$dir/de_DE.UTF-8" ] || { echo "needs locales" > "$note"; exit 77; }
    LOCPATH="$PWD/$dir" "$B/portable/run" --verbose locale/ > "$dir/out" 2>&1 || { cat "$dir/out"; exit 1; }
    cat "$dir/out"
    grep -q '^ok   locale/' "$dir/out" || die "the test was skipped"
}
step_flags() { # arithmetic that a compiler says it has loosened is refused; clang tells of two of these flags, and a call finds the rest
    refused() { # refused COMPILER FLAGS...
        ! "$@" -fsyntax-only -I$TREE tests/header/include.c 2> "$dir/out" || die "$* is accepted"
        grep -q 'vdi: compile without' "$dir/out" || { cat "$dir/out"; die "$* fails for another reason"; }
    }
    for flag in -ffast-math -ffinite-math-only; do refused gcc $flag; refused clang $flag; done
    for flag in -funsafe-math-optimizations -freciprocal-math; do refused gcc $flag; done
    refused gcc -fassociative-math -fno-signed-zeros -fno-trapping-math
    # what it does not tell, the program finds when it makes a model
    command -v clang > /dev/null || return 0
    for flag in -funsafe-math-optimizations "-fassociative-math -fno-signed-zeros -fno-trapping-math" -fno-honor-nans ""; do
        run clang -O1 -w $flag -I$TREE tests/header/loose.c -o "$dir/loose" -lm -lpthread
        "$dir/loose" 2> "$dir/out"
        code=$?
        [ $code = $([ -n "$flag" ] && echo 3 || echo 0) ] || die "clang $flag: $code of three calls are refused"
        [ -z "$flag" ] || grep -q 'vdi was compiled with' "$dir/out" || die "clang $flag: no message"
    done
}
step_single() { need clang clang; portable single "" VDI_DIR=. CC=clang; }
step_msan() { # MSan does not know AVX2's masked loads and stores, and takes what they leave out for read
    need clang clang; emulated
    f="-O1 -g -DVDI_NO_AVX2 -fsanitize=memory -fno-sanitize-recover=all -fno-omit-frame-pointer"
    portable msan "" CC=clang CFLAGS="$f" LDFLAGS="$f"
}
step_tsan() {
    need gcc gcc; emulated
    f="-O1 -g -DVDI_NO_SSE2 -DVDI_NO_AVX2 -fsanitize=thread" # races are the pool's affair, not a path's
    TSAN_OPTIONS=halt_on_error=1 portable tsan "" CC=gcc CFLAGS="$f" LDFLAGS="$f" RUN_ENV="setarch -R"
}
step_musl() { need musl-gcc musl-tools; portable musl "" CC=musl-gcc LDFLAGS=-static CFLAGS="-O2 -DVDI_NO_SSE2 -DVDI_NO_AVX512"; }
step_tcc() { # this tcc runs no constructors, by which the portable suite finds its tests: a program has to do
    need tcc tcc
    run tcc -std=c11 -Wall -Werror -I. -c tests/vdi_impl.c -o "$dir/impl.o"
    run tcc -std=c11 -I. tests/header/main.c tests/header/other.c "$dir/impl.o" -o "$dir/program" -lm -lpthread
    run "$dir/program"
}
# without what the emulator warns that it does not have
step_bench() { run "$MAKE" --no-print-directory bench-quick; } # the programs of the benchmark run; their bars are not judged
step_haswell() {
    need qemu-x86_64 qemu-user; qemu
    portable . "--expect avx2" RUN_ENV="qemu-x86_64 -cpu Haswell,-pcid,-x2apic,-tsc-deadline,-hle,-invpcid,-rtm"
}
step_nehalem() { need qemu-x86_64 qemu-user; qemu; portable . "--expect sse2" RUN_ENV="qemu-x86_64 -cpu Nehalem"; }
step_aarch64() {
    need aarch64-linux-gnu-gcc "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"; need qemu-aarch64 qemu-user; qemu
    portable aarch64 "--expect neon" CC=aarch64-linux-gnu-gcc LDFLAGS=-static RUN_ENV=qemu-aarch64
}

# ---- what others take -------------------------------------------------------------------------------------------------------

. scripts/check_package.sh

# ---- running a step --------------------------------------------------------------------------------------------------------

case ${1:-} in
--list) sed -n 's/^step_\([a-z0-9]*\)().*/\1/p' "$0" scripts/check_package.sh; exit ;;
--summary)
    cat "$2"/*.status 2> /dev/null | awk '{ n[$1]++; if ($1 == "FAIL") names = names " " $2 }
        END {
            if (names) print "failed:" names
            printf "check: %d passed, %d failed, %d skipped\n", n["ok"], n["FAIL"], n["skip"]
            exit !(n["ok"] && !n["FAIL"])
        }'
    exit ;;
esac

name=${1:?usage: check.sh NAME | --list | --summary FOLDER}
grep -q "^step_$name()" "$0" scripts/check_package.sh || { echo "check.sh: no step is called $name" >&2; exit 2; }
dir=$B/check/$name
note=$dir/note
rm -rf "$dir"
mkdir -p "$dir"
start=$(date +%s)
(step_"$name") > "$dir/log" 2>&1 < /dev/null
rc=$?
seconds=$(($(date +%s) - start))
more=$(cat "$note" 2> /dev/null)
case $rc in
0) verdict=ok line="ok   $name ($seconds s)${more:+: $more}" ;;
77) verdict=skip line="skip $name: $more" ;;
*) verdict=FAIL line="FAIL $name ($seconds s)${more:+: $more}" ;;
esac
echo "$verdict $name $seconds" > "$B/check/$name.status"
if [ $verdict = FAIL ]; then
    # one write, so that two steps do not mix their lines
    { echo "$line"; awk '/^\+ / { n = 0; first = NR } { text[n++] = $0 } END {for (i = 0; i < n && i < 30; i++) print text[i]
            for (i = n > 45 ? n - 15 : 30; i < n; i++) print text[i] }' "$dir/log" | cut -c1-300 | sed 's/^/     | /'; echo "     (all of it: $dir/log)"; } > "$dir/failure"
    cat "$dir/failure"
    exit 1
fi
echo "$line"
