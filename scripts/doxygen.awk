# How Doxygen reads the headers (INPUT_FILTER): the house style in, Doxygen's out. No line is added, so its line numbers are true.
#  - the opening comment documents the file, and its indented examples are code;
#  - declarations that follow each other without a gap share the comment above them (not those that destroy, free or close);
#  - in a struct, a plain comment before or behind a member documents it; members behind a line "/* private */", and those of a
#    struct whose comment says that its members are private, are left out.
function flat(line) { gsub(/^ *\/?\*+<? *| *\*\/ *$/, "", line); return line }

FNR == 1 && /^\/\* [^ ]+ - / {
    name = $2; sub(/^\/\* [^ ]+ - /, "")
    opening = !/\*\/ *$/
    print "/** @file " name " @brief " $0
    next
}
opening {
    if (/^ \*     / && !code) { code = 1; sub(/^ \* /, " * @code{.c} ") }
    else if (code && !/^ \*     / && !/^ \*$/) {
        code = 0
        if (/^ \*\//) sub(/^ \*\//, " * @endcode */"); else sub(/^ \*/, " * @endcode ")
    }
    if (/\*\/ *$/) opening = 0
    print
    next
}

# a documentation comment, remembered for the declarations under it
/^\/\*\*/ { doc = ""; comment = 1 }
comment {
    doc = doc " " flat($0)
    if (/\*\/ *$/) { comment = 0; fresh = 1 }
    print
    next
}
/^$/ { doc = "" }
/^(VDI_API|VDI__INLINE|#define VDI_[A-Z0-9]) ?/ {
    if (!fresh && doc != "" && !/_(destroy|free|close)\(/) $0 = "/**" doc " */ " $0
    fresh = 0
}

/^typedef (struct|enum|union) ?[a-z0-9_]* ?\{/ {
    inside = !/\}/; hidden = 0; fresh = 0
    if (doc ~ /members as private/) { hidden = 1; sub(/\{/, "{ /** @cond */") }
    doc = ""
}
inside && /^ *\/\* private/ && !hidden { hidden = 1; sub(/\/\*.*/, "/** @cond */") }
inside && /^\}/ && held != "" { print held; held = "" }
inside && /^\}/ { if (hidden) sub(/^\}/, "/** @endcond */ }"); inside = hidden = 0 }
inside && !hidden && /^ *\/\* / { sub(/\/\* /, "/** ") }
# several members on one line: each is declared by itself, behind the comment of all, which may begin on the next line and end later;
# the lines that this saves are printed empty
inside && !hidden && held != "" {
    if (open || /^ *\/\*\*</) { sub(/^ */, ""); $0 = held " " $0; saved++ }
    else { print held; held = "" }
    if (held != "" && !/\*\/ *$/) { held = $0; open = 1; next }
    held = ""; open = 0
    while (saved > 0) { print ""; saved-- }
}
inside && !hidden && /^ *[a-z][^(]*,[^(]*; *(\/\*.*)?$/ && !/\*\/ *$/ { held = $0; open = /\/\*/; next }
inside && !hidden && /^[^(]*,.*; *\/\*.*\*\/ *$/ {
    at = index($0, ";"); about = flat(substr($0, at + 1)); $0 = substr($0, 1, at - 1)
    match($0, /^ *((const|unsigned|signed|struct|long) )*[a-z0-9_]+ /)
    base = substr($0, 1, RLENGTH); n = split(substr($0, RLENGTH + 1), member, /, */)
    $0 = ""
    for (i = 1; i <= n; i++) $0 = $0 "/** " about " */" base member[i] "; "
}
inside && !hidden && !/\/\*\*/ && /\/\* / { sub(/\/\* /, "/**< ") }
{ print }
