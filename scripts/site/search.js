// Pages that have every word that was typed: in the title first, then by how early the first word
// stands.
const field = document.getElementById("search"),
    box = document.getElementById("found");
function find() {
    const words = field.value
        .toLowerCase()
        .split(/\s+/)
        .filter((w) => w.length > 1);
    box.replaceChildren();
    box.hidden = !words.length;
    if (!words.length) return;
    const hits = [];
    for (const [path, title, text] of pages) {
        const name = title.toLowerCase(),
            all = text.toLowerCase();
        if (!words.every((w) => name.includes(w) || all.includes(w))) continue;
        const at = all.indexOf(words[0]),
            exact =
                name === words.join(" ")
                    ? 0
                    : words.every((w) => name.includes(w))
                      ? 1 + name.length / 1000
                      : 2 + Math.max(at, 0) / 1e5;
        hits.push([exact, path, title, at < 0 ? "" : text.slice(Math.max(0, at - 50), at + 110)]);
    }
    hits.sort((a, b) => a[0] - b[0]);
    for (const [, path, title, around] of hits.slice(0, 20)) {
        const link = document.createElement("a");
        link.href = up + path;
        link.textContent = title;
        link.append(Object.assign(document.createElement("small"), { textContent: around }));
        box.append(link);
    }
    if (!hits.length) box.textContent = "nothing has these words";
}
field.addEventListener("input", find);
document.querySelector("form").addEventListener("submit", (e) => {
    e.preventDefault();
    box.querySelector("a")?.click();
});
document.addEventListener("keydown", (e) => {
    if (e.key === "/" && document.activeElement !== field) {
        e.preventDefault();
        field.focus();
    }
    if (e.key === "Escape") box.hidden = true;
    const links = [...box.querySelectorAll("a")],
        at = links.indexOf(document.activeElement);
    if (!box.hidden && (e.key === "ArrowDown" || e.key === "ArrowUp")) {
        e.preventDefault();
        (e.key === "ArrowDown" ? links[at + 1] : links[at - 1] || field)?.focus();
    }
});
