// Opens a page of `vdi sacd inspect` without a browser, as a reader with a hand on its controls:
//     node page.js PAGE.html [FRAGMENT]
// Prints what it shows as JSON: {"value", "action", "names", "texts"}. The document is a stand-in
// that knows elements, attributes and text, and that refuses markup made of text.
"use strict";

const fs = require("fs");
const vm = require("vm");

const [, , file, fragment = ""] = process.argv;
const page = fs.readFileSync(file, "utf8");
const nodes = new Map();

class Node {
    constructor(tag) {
        Object.assign(this, { tag, children: [], attributes: {}, dataset: {}, value: "" });
    }
    set innerHTML(markup) {
        throw new Error(`innerHTML is set: ${markup}`);
    }
    setAttribute(name, value) {
        this.attributes[name] = String(value);
        if (name === "id") nodes.set(String(value), this);
    }
    append(...children) {
        this.children.push(...children);
    }
    replaceChildren(...children) {
        this.children = children;
    }
    set textContent(text) {
        this.children = [String(text)];
    }
    get textContent() {
        return this.children.map((c) => (c instanceof Node ? c.textContent : String(c))).join("");
    }
    dispatchEvent(event) {
        const handler = this[`on${event.type}`];
        if (handler) handler(event);
    }
    all(tag) {
        const below = this.children.filter((c) => c instanceof Node).flatMap((c) => c.all(tag));
        return this.tag === tag ? [this, ...below] : below;
    }
}

for (const match of page.matchAll(/<(\w+)[^>]*?\sid="?([\w-]+)"?/g)) {
    new Node(match[1]).setAttribute("id", match[2]);
}
const blocks = [...page.matchAll(/<script([^>]*)>([\s\S]*?)<\/script>/g)];
const json = blocks.find((block) => block[1].includes("application/json"));
nodes.get("data").textContent = json[2];

const context = vm.createContext({
    document: {
        getElementById: (id) => nodes.get(id) || null,
        createElement: (tag) => new Node(tag),
        createElementNS: (space, tag) => new Node(tag),
    },
    Event: class {
        constructor(type) {
            this.type = type;
        }
    },
    location: { hash: fragment ? `#${fragment}` : "" },
    URLSearchParams,
    setInterval: () => 1,
    clearInterval: () => {},
});
for (const block of blocks) {
    if (!block[1].includes("application/json")) vm.runInContext(block[2], context);
}

// every control is turned once, and all is put back
const state = nodes.get("action").dataset;
const before = JSON.stringify(state);
nodes.get("play").onclick();
nodes.get("play").onclick();
const sliders = nodes.get("parts").all("input");
const weights = sliders.map((slider) => slider.value);
nodes.get("reset").onclick();
sliders.forEach((slider, i) => {
    slider.value = weights[i];
    slider.oninput();
});
const after = nodes.get("action").dataset;
if (JSON.stringify(after) !== before) throw new Error(`${JSON.stringify(after)}, was ${before}`);

for (const id of ["values", "influence"]) {
    const numbers = nodes
        .get(id)
        .all("polygon")
        .map((p) => p.attributes.points);
    if (!numbers.length || numbers.some((points) => points.includes("NaN"))) {
        throw new Error(`the chart ${id} has no numbers`);
    }
}
console.log(
    JSON.stringify({
        value: after.value,
        step: after.step,
        action: JSON.parse(after.action),
        names: nodes
            .get("parts")
            .all("span")
            .map((name) => name.textContent),
        texts: nodes
            .get("scene")
            .all("text")
            .map((text) => text.textContent),
    }),
);
