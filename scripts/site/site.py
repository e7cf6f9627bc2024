#!/usr/bin/env python3
"""The site: site.py OUT API.json EXAMPLES TRY.html

OUT         the folder to write
API.json    what the header declares (scripts/library/api.sh)
EXAMPLES    a folder with what the examples print: NAME.txt
TRY.html    the browser page, or a file that is not there

Plain HTML from README, docs and the header: no script is needed to read it; one does the search. A
link that leads nowhere is an error, and so is an anchor that is not there.
"""
import html
import json
import os
import re
import shutil
import sys

out, api_file, printed, try_page = sys.argv[1:5]
api = json.load(open(api_file))
here = os.path.dirname(os.path.abspath(__file__))
pages = {}  # path -> (title, body)
source_of = {
    "README.md": "index.html",
    "CONTRIBUTING.md": "contributing.html",
    "CHANGELOG.md": "changelog.html",
    "docs/mainpage.md": "reference/index.html",
}
for folder in ("guide", "results"):
    for name in sorted(os.listdir("docs/" + folder)):
        if name.endswith(".md"):
            source_of["docs/%s/%s" % (folder, name)] = "%s/%s.html" % (
                folder,
                "index" if name == "README.md" else name[:-3],
            )

# ---- Markdown, as these pages use it -------------------------------------------------------------


def slug(text):
    text = re.sub(r"`|\*|\[([^\]]*)\]\([^)]*\)", lambda m: m.group(1) or "", text).lower()
    return re.sub(r" ", "-", re.sub(r"[^\w\- ]", "", text))


def target(link, source):
    """A link of the page `source`, as the site has it."""
    if re.match(r"[a-z]+:", link) or link.startswith("#"):
        return link
    path, _, anchor = link.partition("#")
    path = os.path.normpath(os.path.join(os.path.dirname(source), path))
    to = source_of.get(path, path)
    if path.startswith("docs/pictures/"):
        to = path[len("docs/") :]
    elif path == "LICENSE":
        to = "LICENSE.txt"
    elif re.match(r"examples/[a-z0-9_]+\.c$", path):
        to = path[:-2] + ".html"
    elif to == path and os.path.exists(path):
        raise SystemExit("%s: %s is not part of the site" % (source, link)) if path.startswith(
            "docs"
        ) else Outside(path)
    here_is = os.path.dirname(source_of[source])
    return os.path.relpath(to, here_is or ".") + ("#" + anchor if anchor else "")


class Outside(Exception):
    """A file of the repository that the site does not show: its name stands without a link."""


def inline(text, source):
    codes = []

    def keep(m):
        codes.append("<code>%s</code>" % html.escape(m.group(2)))
        return "\0%d\0" % (len(codes) - 1)

    text = spans(re.sub(r"(`+)(.+?)\1", keep, text, flags=re.S))

    def link(m):
        mark, words, where = m.groups()
        try:
            where = target(html.unescape(where), source)
        except Outside:
            return words
        if mark:
            return '<img src="%s" alt="%s" loading="lazy">' % (
                html.escape(where),
                re.sub("<[^>]*>", "", words),
            )
        return '<a href="%s">%s</a>' % (html.escape(where), words)

    text = re.sub(r"(!?)\[([^\[\]]*)\]\(([^)\s]+)\)", link, text)
    return re.sub("\0(\\d+)\0", lambda m: codes[int(m.group(1))], text)


def spans(text):
    text = html.escape(text, quote=False)
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text, flags=re.S)
    text = re.sub(r"(?<![\w*])\*([^*\s][^*]*?)\*(?!\w)", r"<i>\1</i>", text)
    return re.sub(r"&lt;(https?://[^&]*)&gt;", r'<a href="\1">\1</a>', text)


def cells(line):
    return [c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def table(lines, source):
    rows = [cells(line) for line in lines]
    head, body = rows[0], rows[2:]
    right = [":" == c[-1:] and c[:1] != ":" for c in rows[1]]
    numeric = [
        bool(body)
        and all(
            re.match(r"^[-+.~<>= ]*[\d.,]+ ?[%a-zA-Z/±()\d. -]{0,12}$|^-?$", r[i])
            for r in body
            if i < len(r)
        )
        for i in range(len(head))
    ]

    def row(kind, values):
        return "<tr>%s</tr>" % "".join(
            "<%s%s>%s</%s>"
            % (
                kind,
                ' class="n"' if i < len(numeric) and (numeric[i] or right[i]) else "",
                inline(v, source),
                kind,
            )
            for i, v in enumerate(values)
        )

    return '<div class="wide"><table><thead>%s</thead><tbody>%s</tbody></table></div>' % (
        row("th", head),
        "".join(row("td", r) for r in body),
    )


def indent_of(line):
    return len(line) - len(line.lstrip(" "))


def markdown(text, source):
    lines, result, i = text.split("\n"), [], 0
    while i < len(lines):
        line = lines[i]
        if not line.strip() or line.startswith("<!--"):
            i += 1
        elif line.startswith("```"):
            end = next(k for k in range(i + 1, len(lines)) if lines[k].startswith("```"))
            result.append(
                '<pre class="%s"><code>%s</code></pre>'
                % (line[3:].strip() or "plain", html.escape("\n".join(lines[i + 1 : end])))
            )
            i = end + 1
        elif re.match(r"#+ ", line):
            level, words = len(line.split(" ")[0]), re.sub(r" *\{#.*\}$", "", line.split(" ", 1)[1])
            own = re.search(r"\{#([^}]*)\}", line)
            result.append(
                '<h%d id="%s">%s</h%d>'
                % (level, own.group(1) if own else slug(words), inline(words, source), level)
            )
            i += 1
        elif line.startswith("    "):
            end = i
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            result.append(
                "<pre><code>%s</code></pre>"
                % html.escape("\n".join(k[4:] for k in lines[i:end]).rstrip())
            )
            i = end
        elif "|" in line and i + 1 < len(lines) and re.match(r"^\|?[ :|-]*-[ :|-]*$", lines[i + 1]):
            end = i
            while end < len(lines) and "|" in lines[end]:
                end += 1
            result.append(table(lines[i:end], source))
            i = end
        elif re.match(r"(- |\* |\d+\. )", line):
            kind = "ol" if line[0].isdigit() else "ul"
            items = []
            while i < len(lines) and (
                re.match(r"(- |\* |\d+\. )", lines[i])
                or (lines[i].startswith("  ") and items)
                or (
                    not lines[i].strip()
                    and i + 1 < len(lines)
                    and (
                        lines[i + 1].startswith("  ") or re.match(r"(- |\* |\d+\. )", lines[i + 1])
                    )
                )
            ):
                if re.match(r"(- |\* |\d+\. )", lines[i]):
                    width = len(re.match(r"(- |\* |\d+\. +)", lines[i]).group(0))
                    items.append([lines[i][width:]])
                else:
                    items[-1].append(
                        lines[i][min(indent_of(lines[i]), width) :] if lines[i].strip() else ""
                    )
                i += 1
            inner = [markdown("\n".join(item), source) for item in items]
            inner = [
                re.sub(r"^<p>(.*?)</p>$", r"\1", t, flags=re.S) if t.count("<p>") == 1 else t
                for t in inner
            ]
            result.append("<%s>%s</%s>" % (kind, "".join("<li>%s</li>" % t for t in inner), kind))
        elif line.startswith("> "):
            end = i
            while end < len(lines) and lines[end].startswith(">"):
                end += 1
            result.append(
                "<blockquote>%s</blockquote>"
                % markdown("\n".join(k[2:] for k in lines[i:end]), source)
            )
            i = end
        else:
            end = i
            while (
                end < len(lines)
                and lines[end].strip()
                and not re.match(r"#+ |```|- |\d+\. ", lines[end])
            ):
                end += 1
            end = max(end, i + 1)
            result.append("<p>%s</p>" % inline("\n".join(k.strip() for k in lines[i:end]), source))
            i = end
    return "\n".join(result)


# ---- the pages -----------------------------------------------------------------------------------

for source, path in source_of.items():
    text = open(source, encoding="utf-8").read()
    if source == "docs/mainpage.md":
        text = re.sub(r"\\(page|section|mainpage|anchor)\b.*", "", text)
    title = re.search(r"^# (.*)", text, re.M)
    pages[path] = (
        re.sub(r" *\{#.*\}", "", title.group(1)) if title else "vdi",
        markdown(text, source),
    )


def reference():
    """A page for each header: what it says at its head, then what it declares."""
    of = {}
    for kind in ("constants", "enums", "opaque", "structs", "callbacks", "functions"):
        for entry in api[kind]:
            if not entry.get("private") and (entry["name"] or entry.get("values")):
                of.setdefault(entry["header"], []).append((kind, entry))
    known = {e["name"]: "%s#%s" % (h[:-2], e["name"]) for h in of for _, e in of[h] if e["name"]}
    heads = {h["name"]: h["text"] for h in api["headers"]}

    def code(text, header):
        up = "../" * header.count("/")
        return re.sub(
            r"\bvdi_[a-z0-9_]+\b",
            lambda m: '<a href="%s%s">%s</a>'
            % (up, known[m.group(0)].replace("#", ".html#"), m.group(0))
            if m.group(0) in known
            else m.group(0),
            html.escape(text, quote=False),
        )

    def said(entry, header):
        return "<p>%s</p>" % code(entry["doc"], header) if entry.get("doc") else ""

    def declared(kind, e, header):
        if kind == "functions":
            text = "%s %s(%s);" % (
                e["returns"],
                e["name"],
                ", ".join(one(p) for p in e["params"]) or "void",
            )
            return "<pre><code>%s</code></pre>%s" % (code(text, header), said(e, header))
        if kind == "callbacks":
            text = "typedef %s (*%s)(%s);" % (
                e["returns"],
                e["name"],
                ", ".join(one(p) for p in e["params"]),
            )
            return "<pre><code>%s</code></pre>%s" % (code(text, header), said(e, header))
        if kind in ("structs", "enums"):
            rows = e["fields"] if kind == "structs" else e["values"]
            lines = "".join(
                "<tr><td><code>%s</code></td><td>%s</td></tr>"
                % (
                    code(one(r), header)
                    if kind == "structs"
                    else "%s = %s" % (r["name"], r["value"]),
                    code(r.get("doc", ""), header),
                )
                for r in rows
            )
            return '%s<div class="wide"><table class="members">%s</table></div>' % (
                said(e, header),
                lines,
            )
        if kind == "constants":
            return "<pre><code>#define %s %s</code></pre>%s" % (
                e["name"],
                html.escape(str(e["value"])),
                said(e, header),
            )
        return "<pre><code>typedef struct %s %s;</code></pre>%s" % (
            e["name"],
            e["name"],
            said(e, header),
        )

    def one(p):
        if "(*)" in p["type"]:
            return p["type"].replace("(*)", "(*%s)" % p["name"])
        if p["name"] == "...":
            return "..."
        star = "" if p["type"].endswith("*") else " "
        return p["type"] + star + p["name"] + "".join("[%d]" % n for n in p.get("array", []))

    index = []
    for header in (h["name"] for h in api["headers"] if h["name"] in of):
        text = heads[header]
        title, _, rest = text.partition("\n\n")
        title = " ".join(title.split())
        body = [
            "<h1>%s</h1><p>%s</p>" % (header, html.escape(title)),
            '<pre class="head"><code>%s</code></pre>' % code(rest.rstrip(), header),
        ]
        for kind, e in of[header]:
            name = e["name"]
            body.append(
                '<section id="%s">%s%s</section>'
                % (
                    name or e["values"][0]["name"],
                    "<h3>%s</h3>" % name if name else "",
                    declared(kind, e, header),
                )
            )
        pages["reference/%s.html" % header[:-2]] = (header, "\n".join(body))
        index.append((header, title, len(of[header])))
    lines, room = [], ""
    for header, title, n in index:
        if header.split("/")[0] != room:
            room = header.split("/")[0]
            lines.append("</ul><h3>%s</h3><ul>" % room)
        lines.append(
            '<li><a href="%s.html">%s</a>: %s</li>' % (header[:-2], header, html.escape(title))
        )
    main_title, main_body = pages["reference/index.html"]
    pages["reference/index.html"] = (
        "Reference",
        "<h1>Reference</h1>"
        + "".join(lines)[5:]
        + "</ul><hr>"
        + re.sub("<h1.*?</h1>", "", main_body, count=1),
    )


def examples():
    rows = []
    for name in sorted(os.listdir("examples")):
        if not name.endswith(".c"):
            continue
        text = open("examples/" + name).read()
        opening = re.match(r"/\*(.*?)\*/", text, re.S).group(1)
        first = " ".join(re.sub(r"\n \* ?", "\n", opening).strip().split("\n\n")[0].split())
        first = re.sub(r"^[a-z0-9_]+\.c *[-:] *|^examples/[a-z0-9_]+\.c *[-:] *", "", first)
        body = "<h1>%s</h1><p>%s</p><pre><code>%s</code></pre>" % (
            name,
            html.escape(first[:1].upper() + first[1:]),
            html.escape(text),
        )
        result = os.path.join(printed, name[:-2] + ".txt")
        if os.path.exists(result):
            body += "<h2>It prints</h2><pre><code>%s</code></pre>" % html.escape(
                open(result).read()[:20000]
            )
        pages["examples/%s.html" % name[:-2]] = (name, body)
        rows.append('<li><a href="%s.html">%s</a>: %s</li>' % (name[:-2], name, html.escape(first)))
    pages["examples/index.html"] = (
        "Examples",
        "<h1>Examples</h1><p>One program for each idea, with what it prints.</p><ul>%s</ul>"
        % "".join(rows),
    )


reference()
examples()

# ---- writing -------------------------------------------------------------------------------------

MENU = [
    ("index.html", "vdi"),
    ("guide/start.html", "Start"),
    ("guide/index.html", "Guide"),
    ("results/index.html", "Results"),
    ("examples/index.html", "Examples"),
    ("reference/index.html", "Reference"),
]
if os.path.exists(try_page):
    MENU.append(("try/index.html", "Try it"))
shutil.rmtree(out, ignore_errors=True)
index = []
for path, (title, body) in sorted(pages.items()):
    up = "../" * path.count("/")
    menu = "".join(
        '<a href="%s"%s>%s</a>' % (up + p, ' aria-current="page"' if p == path else "", t)
        for p, t in MENU
    )
    document = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><title>%s</title>'
        '<link rel="stylesheet" href="%ssite.css"></head><body>'
        '<header><nav>%s</nav><form role="search"><label for="search">search</label> '
        '<input id="search" type="search" autocomplete="off"><div id="found" hidden></div>'
        "</form></header><main>%s</main><footer>vdi %s</footer>"
        '<script>const up = "%s";</script><script src="%ssearch.js"></script></body></html>'
        % (
            html.escape(title if title == "vdi" else "%s - vdi" % title),
            up,
            menu,
            body,
            api["version"],
            up,
            up,
        )
    )
    os.makedirs(os.path.join(out, os.path.dirname(path)), exist_ok=True)
    open(os.path.join(out, path), "w", encoding="utf-8").write(document)
    plain = re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]*>", " ", body)))
    index.append([path, title, plain[:6000] if path.startswith("reference/") else plain[:20000]])
    for name in re.findall(r'<section id="(vdi_[a-z0-9_]+)"', body):
        index.append(["%s#%s" % (path, name), name, ""])
shutil.copytree("docs/pictures", os.path.join(out, "pictures"))
shutil.copy("LICENSE", os.path.join(out, "LICENSE.txt"))
if os.path.exists(try_page):
    os.makedirs(os.path.join(out, "try"))
    shutil.copy(try_page, os.path.join(out, "try/index.html"))
shutil.copy(os.path.join(here, "site.css"), out)
open(os.path.join(out, "search.js"), "w", encoding="utf-8").write(
    "const pages = %s;\n%s"
    % (
        json.dumps(index, ensure_ascii=False, separators=(",", ":")),
        open(os.path.join(here, "search.js")).read(),
    )
)

# ---- every link leads somewhere ------------------------------------------------------------------

ids, wrong, count = {}, [], 0
for path in pages:
    ids[path] = set(re.findall(r'\bid="([^"]*)"', pages[path][1]))
for path, (title, body) in pages.items():
    for link in re.findall(r'(?:href|src)="([^"]*)"', body):
        link = html.unescape(link)
        if re.match(r"[a-z]+:", link):
            continue
        count += 1
        to, _, anchor = link.partition("#")
        to = os.path.normpath(os.path.join(os.path.dirname(path), to)) if to else path
        if not os.path.exists(os.path.join(out, to)):
            wrong.append("%s: %s is not there" % (path, link))
        elif anchor and to in ids and anchor not in ids[to]:
            wrong.append("%s: %s has no such place" % (path, link))
for w in wrong:
    print(w)
print("%d pages, %d links, %d of them wrong" % (len(pages), count, len(wrong)))
sys.exit(1 if wrong else 0)
