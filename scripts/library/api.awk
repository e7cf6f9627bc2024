# The declarations of a preprocessed header (cc -E -C -dD) as JSON; see api.sh.
# First the text: documentation is put aside and a mark left where it stood (@n@, or @n<@ for one that is about what stands before
# it), so that what remains is code. Then statements, cut at the semicolons and braces of depth 0.

function fail(message) { print "api.awk: " message > "/dev/stderr"; failed = 1; exit 1 }
function trim(s) { gsub(/[ \t\n]+/, " ", s); sub(/^ /, "", s); sub(/ $/, "", s); return s }
function json(s) {
    gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); gsub(/\t/, " ", s); gsub(/\n/, "\\n", s)
    return "\"" s "\""
}
function unmark(s) { gsub(/@[0-9]+<?@/, " ", s); return trim(s) }
# the documentation whose marks stand in s
function docs(s,   out, n) {
    out = ""
    while (match(s, /@[0-9]+<?@/)) {
        n = substr(s, RSTART + 1, RLENGTH - 2) + 0
        out = out (out == "" ? "" : " ") doc[n]
        s = substr(s, RSTART + RLENGTH)
    }
    return out
}

# ---- numbers: a constant expression of whole numbers, or "" ---------------------------------------------------------------

function peek() { sub(/^ +/, "", expr); return substr(expr, 1, 1) }
function atom(   v, name) {
    if (peek() == "(") {
        expr = substr(expr, 2); v = sum()
        if (peek() != ")") bad = 1
        expr = substr(expr, 2)
        return v
    }
    if (peek() == "-") { expr = substr(expr, 2); return -atom() }
    if (match(expr, /^[0-9]+[uUlL]*/)) {
        v = substr(expr, 1, RLENGTH); expr = substr(expr, RLENGTH + 1); gsub(/[uUlL]/, "", v)
        return v + 0
    }
    if (match(expr, /^[A-Za-z_][A-Za-z_0-9]*/)) {
        name = substr(expr, 1, RLENGTH); expr = substr(expr, RLENGTH + 1)
        if (name in number) return number[name]
    }
    bad = 1
    return 0
}
function product(   v) {
    v = atom()
    while (!bad && peek() == "*") { expr = substr(expr, 2); v *= atom() }
    return v
}
function sum(   v) {
    v = product()
    while (!bad) {
        if (peek() == "+") { expr = substr(expr, 2); v += product() }
        else if (peek() == "-") { expr = substr(expr, 2); v -= product() }
        else break
    }
    return v
}
function whole(text,   v) {
    expr = text; bad = 0
    v = sum()
    if (!bad && match(expr, /^ *<< */)) { expr = substr(expr, RLENGTH + 1); v *= 2 ^ sum() }
    return bad || peek() != "" ? "" : v
}

# ---- declarators ----------------------------------------------------------------------------------------------------------

# `const double *y[3]` as its parts: name, type, array ("" or "3"); a function pointer keeps its text as type
function declarator(s,   inner, start) {
    s = unmark(s)
    sub(/ ?__attribute__ ?\(\(.*\)\)$/, "", s)
    array = ""
    if (match(s, /\(\*[a-z_A-Z0-9]*\)/)) {
        inner = substr(s, RSTART + 2, RLENGTH - 3)
        name = inner
        type = trim(substr(s, 1, RSTART - 1)) " (*)" trim(substr(s, RSTART + RLENGTH))
        return
    }
    while (match(s, /\[[^\]]*\]$/)) {
        start = RSTART
        array = whole(substr(s, start + 1, RLENGTH - 2)) (array == "" ? "" : ", " array)
        s = trim(substr(s, 1, start - 1))
    }
    if (!match(s, /[A-Za-z_0-9]+$/)) { name = ""; type = s; return }
    name = substr(s, RSTART)
    type = trim(substr(s, 1, RSTART - 1))
    if (type == "" || type == "const" || type == "struct") { type = s; name = "" } # `void`, an unnamed parameter
    gsub(/restrict/, "", type)
    type = trim(type)
}
function typed() { return "\"name\": " json(name) ", \"type\": " json(type) (array == "" ? "" : ", \"array\": [" array "]") }

# The parts of s between commas of depth 0, in part[1..n].
function split_commas(s, part,   n, depth, i, c, start) {
    n = 0; depth = 0; start = 1
    for (i = 1; i <= length(s); i++) {
        c = substr(s, i, 1)
        if (c == "(" || c == "{" || c == "[") depth++
        else if (c == ")" || c == "}" || c == "]") depth--
        else if (c == "," && depth == 0) { part[++n] = substr(s, start, i - start); start = i + 1 }
    }
    if (substr(s, start) !~ /^[ \n]*$/) part[++n] = substr(s, start)
    return n
}
function params(s,   part, n, i, out) {
    n = split_commas(s, part)
    out = ""
    for (i = 1; i <= n; i++) {
        if (trim(part[i]) == "void") continue
        if (trim(part[i]) == "...") { name = "..."; type = "..."; array = "" }
        else declarator(part[i])
        out = out (out == "" ? "" : ", ") "{" typed() "}"
    }
    return "[" out "]"
}

# ---- statements -----------------------------------------------------------------------------------------------------------

function add(list, text) {
    item[list] = item[list] (item[list] == "" ? "\n" : ",\n") "    {" text (place == "" ? "" : ", \"header\": " json(place)) "}"
    count[list]++
}
# the comment at the head of a header, as it stands there
function chapter(text) {
    gsub(/\n \* ?/, "\n", text)
    opening[place] = 1
    add("headers", "\"name\": " json(place) ", \"text\": " json(substr(text, length(place) + 5)))
}
function private(s) { return s ~ /^vdi__/ || s !~ /^(vdi_|VDI_)/ }

function enumeration(head, body, tail,   part, n, i, v, next_value, entry, at, out, title, d) {
    title = trim(unmark(tail))
    n = split_commas(body, part); next_value = 0; out = ""
    for (i = 1; i <= n; i++) {
        entry = unmark(part[i])
        if (entry == "") continue
        d = docs(part[i])
        at = index(entry, "=")
        v = at ? whole(trim(substr(entry, at + 1))) : next_value
        if (v == "") fail("the value of " entry)
        if (at) entry = trim(substr(entry, 1, at - 1))
        number[entry] = v; next_value = v + 1
        if (match(part[i + 1], /^[ \n]*@[0-9]+<@/)) { # behind the comma
            d = docs(substr(part[i + 1], 1, RLENGTH))
            part[i + 1] = substr(part[i + 1], RLENGTH + 1)
        }
        out = out (out == "" ? "" : ",") "\n        {\"name\": " json(entry) ", \"value\": " v (d == "" ? "" : ", \"doc\": " json(d)) "}"
    }
    if (title == "" || !private(title))
        add("enums", "\"name\": " json(title) ", \"doc\": " json(docs(head)) ", \"values\": [" out "]")
}
function structure(head, body, tail,   n, part, i, out, title, base, k, m, piece, d, line) {
    title = trim(unmark(tail))
    if (title !~ /^vdi_/) return # private ones may stand in public ones
    while (match(body, /union *\{[^}]*;[^}]*\}/)) { # what lies at one place is one field
        line = substr(body, RSTART, RLENGTH); gsub(/;/, "\003", line)
        body = substr(body, 1, RSTART - 1) line substr(body, RSTART + RLENGTH)
    }
    n = split(body, part, /;/); out = ""
    for (i = 1; i <= n; i++) {
        d = ""
        if (unmark(part[i]) == "") continue
        line = part[i]
        if (match(part[i + 1], /^[ \n]*@[0-9]+<@/)) { # behind the semicolon
            d = docs(substr(part[i + 1], 1, RLENGTH))
            part[i + 1] = substr(part[i + 1], RLENGTH + 1)
        }
        if (d == "") d = docs(line)
        if (line ~ /union *\{/) {
            out = out (out == "" ? "" : ",") "\n        {" united(line) (d == "" ? "" : ", \"doc\": " json(d)) "}"
            continue
        }
        m = split_commas(unmark(line), piece)
        for (k = 1; k <= m; k++) {
            if (k > 1) piece[k] = base " " piece[k]
            declarator(piece[k])
            if (k == 1) { base = type; sub(/ *\*+$/, "", base) }
            out = out (out == "" ? "" : ",") "\n        {" typed() (d == "" ? "" : ", \"doc\": " json(d)) "}"
        }
    }
    complete[title] = 1
    structs = structs " " title
    add("structs", "\"name\": " json(title) (private(title) ? ", \"private\": true" : "") ", \"doc\": " json(docs(head)) ", \"fields\": [" out "]")
}
function united(line,   n, i, part, out, title) {
    line = unmark(line)
    title = line; sub(/.*\} */, "", title)
    sub(/^[^{]*\{/, "", line); sub(/\}[^}]*$/, "", line)
    n = split(line, part, /\003/); out = ""
    for (i = 1; i <= n; i++) {
        if (trim(part[i]) == "") continue
        declarator(part[i])
        out = out (out == "" ? "" : ", ") "{" typed() "}"
    }
    return "\"name\": " json(title) ", \"type\": \"union\", \"fields\": [" out "]"
}
function procedure(s, is_inline,   d, open, result) {
    d = docs(s); s = unmark(s)
    gsub(/__attribute__ ?\(\([^()]*(\([^()]*\))?[^()]*\)\)/, "", s)
    gsub(/(^| )(VDI_API|extern|static|inline)( |$)/, " ", s); gsub(/(^| )(VDI_API|extern|static|inline)( |$)/, " ", s)
    s = trim(s)
    open = index(s, "(")
    if (!open) { # data
        declarator(s)
        if (!private(name)) add("data", typed() ", \"doc\": " json(d))
        return
    }
    declarator(substr(s, 1, open - 1))
    if (private(name)) return
    result = type
    add("functions", "\"name\": " json(name) ", \"returns\": " json(result) ", \"params\": " params_of(s, open) \
        (is_inline ? ", \"inline\": true" : "") ", \"doc\": " json(d))
}
function params_of(s, open,   title, text) {
    title = name
    text = params(substr(s, open + 1, length(s) - open - 1))
    name = title
    return text
}
function statement(s,   code, open, close_, d, title) {
    code = unmark(s)
    if (code ~ /^typedef (enum|struct|union)/ && index(code, "{")) {
        open = index(s, "{"); close_ = last_brace(s)
        if (code ~ /^typedef enum/) enumeration(substr(s, 1, open), substr(s, open + 1, close_ - open - 1), substr(s, close_ + 1))
        else structure(substr(s, 1, open), substr(s, open + 1, close_ - open - 1), substr(s, close_ + 1))
    } else if (code ~ /^enum/ && index(code, "{")) {
        open = index(s, "{"); close_ = last_brace(s)
        enumeration(substr(s, 1, open), substr(s, open + 1, close_ - open - 1), "")
    } else if (code ~ /^typedef struct [a-z_0-9]+ [a-z_0-9]+$/) {
        title = code; sub(/.* /, "", title)
        if (!private(title)) { opaque[title] = docs(s); where[title] = place }
        handles = handles " " title
    } else if (code ~ /^typedef .*\(\*vdi_[a-z_0-9]*\)/) {
        d = docs(s); sub(/^typedef /, "", code)
        match(code, /\(\*[a-z_0-9]*\)/)
        title = substr(code, RSTART + 2, RLENGTH - 3)
        type = trim(substr(code, 1, RSTART - 1))
        code = trim(substr(code, RSTART + RLENGTH))
        if (!private(title))
            add("callbacks", "\"name\": " json(title) ", \"returns\": " json(type) ", \"params\": " params(substr(code, 2, length(code) - 2)) ", \"doc\": " json(d))
    } else if (code ~ /^VDI_API/) procedure(s, 0)
}
function last_brace(s,   i) {
    for (i = length(s); i > 0; i--) if (substr(s, i, 1) == "}") return i
    return 0
}
function macro(line, d,   title, value, v) {
    sub(/^#define /, "", line)
    title = line; sub(/[ (].*/, "", title)
    if (title !~ /^VDI_[A-Z]/ || title ~ /_H$/ || substr(line, length(title) + 1, 1) == "(") return
    value = trim(substr(line, length(title) + 1))
    v = whole(value)
    if (v != "") number[title] = v
    else if (value ~ /^"[^"]*"$/) v = value
    else if (value ~ /^-?[0-9.]+(e-?[0-9]+)?$/) v = value + 0 == 0 ? "" : value
    if (v != "") add("constants", "\"name\": " json(title) ", \"value\": " v ", \"doc\": " json(d))
    if (title == "VDI_VERSION") version = value
}

# ---- the text -------------------------------------------------------------------------------------------------------------

/^# [0-9]+ "/ { ours = index($3, header) > 0; next }
!ours { next }
{
    line = $0
    while (1) {
        if (inside) {
            at = index(line, "*/")
            if (!at) { note = note "\n" line; break }
            note = note "\n" substr(line, 1, at - 1)
            line = substr(line, at + 2)
            inside = 0
            sub(/^\n/, "", note)
            if (match(note, /^ ======== [a-z0-9_\/]*\.h ========/)) place = substr(note, 11, RLENGTH - 19)
            if (place != "" && index(note, " " place " - ") == 1 && !(place in opening)) chapter(note)
            if (note ~ /^\*[^*]/ || note ~ /^\*$/) {
                mark = note ~ /^\*</ ? "<@" : "@"
                sub(/^\*<?/, "", note)
                gsub(/\n *\*? */, " ", note)
                doc[++n_docs] = trim(note)
                line = "@" n_docs mark line
                latest = n_docs; fresh = 1
            }
            line = kept line
            continue
        }
        at = index(line, "/*")
        if (!at) break
        kept = substr(line, 1, at - 1); note = substr(line, at + 2); inside = 1
        line = note; note = ""
    }
    if (inside) {
        if (kept !~ /^[ \t]*$/) feed(kept)
        kept = ""
        next
    }
    if (line ~ /^#define /) { macro(line, fresh ? doc[latest] : ""); fresh = 0; if (!depth) text = text "\n@-@\n"; next }
    if (line ~ /^#/ || line ~ /^_Pragma/) next
    if (line ~ /^[ \t]*$/) next
    if (line !~ /^@[0-9]+@$/) fresh = 0
    feed(line)
}
# One more line of code: whole statements are handled as they close.
function feed(line,   i, c) {
    while (match(line, /[{};]/)) {
        c = substr(line, RSTART, 1)
        text = text substr(line, 1, RSTART)
        line = substr(line, RSTART + 1)
        if (c == "{") {
            if (depth == 0) braces = unmark(drop(text))
            depth++
        } else if (c == "}") {
            depth--
            if (depth == 0 && braces !~ /^(typedef|enum|struct|union)/ && braces !~ /= *\{$/) { # the body of a function
                text = drop(text)
                if (text ~ /inline/) procedure(substr(text, 1, index(text, "{") - 1), 1)
                text = ""
            }
        } else if (depth == 0) {
            statement(substr(drop(text), 1, length(drop(text)) - 1))
            text = ""
        }
    }
    text = text line "\n"
}
# what stood before a macro is no documentation of what stands behind it
function drop(s,   at) {
    while ((at = index(s, "@-@")) > 0) s = substr(s, at + 3)
    return s
}
function table_of_sizes(   n, i, struct) {
    print "#include \"vdi.h\"\nextern size_t vdi_sizeof(const char *name);\n" \
        "/* bytes of the struct with this name; 0: there is none */\nsize_t vdi_sizeof(const char *name) {\n" \
        "    static const struct { const char *name; size_t size; } known[] = {"
    n = split(structs, struct, " ")
    for (i = 1; i <= n; i++) print "        {\"" struct[i] "\", sizeof(" struct[i] ")},"
    print "    };\n    for (size_t i = 0; i < sizeof known / sizeof *known; i++)\n" \
        "        if (strcmp(known[i].name, name) == 0) return known[i].size;\n    return 0;\n}"
}
END {
    if (failed) exit 1
    m = split(handles, handle, " ")
    for (i = 1; i <= m; i++) {
        if (!(handle[i] in complete) && !private(handle[i]) && !told[handle[i]]++)
            place = where[handle[i]]; add("opaque", "\"name\": " json(handle[i]) ", \"doc\": " json(opaque[handle[i]]))
    }
    if (!count["functions"]) fail("no function was found in " header)
    if (sizes) { table_of_sizes(); exit }
    printf "{\n\"version\": %s", version
    k = split("headers constants enums structs opaque callbacks functions data", order, " ")
    for (i = 1; i <= k; i++) printf ",\n\"%s\": [%s]", order[i], item[order[i]]
    print "\n}"
}
