// Elements and charts over time. Names of an environment come from a stranger:
// they are only ever text of a node, never markup.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const INK = "var(--ink)";
const SOFT = "var(--soft)";

function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
}

function element(tag, attributes = {}, ...children) {
    return fill(document.createElement(tag), attributes, children);
}

function shape(tag, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
}

// ---- charts --------------------------------------------------------------------------------

const LEFT = 46;
const RIGHT = 936;

// Round numbers of [low, high], 1, 2 or 5 times a power of ten apart, at most `most` + 1 of them.
function ticks(low, high, most) {
    const power = 10 ** Math.floor(Math.log10((high - low) / most));
    const step = [1, 2, 5, 10].map((k) => k * power).find((s) => (high - low) / s <= most);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const marks = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) {
        marks.push({ value: k * step, label: (k * step).toFixed(digits) });
    }
    return marks;
}

// Where a value of [low, high] stands in a chart that is so high.
function upward(low, high, height) {
    return (v) => height - 8 - ((height - 20) * (v - low)) / (high - low);
}

function axis(low, high, height) {
    const y = upward(low, high, height);
    return ticks(low, high, 5).flatMap(({ value, label }) => [
        shape("line", { x1: LEFT, x2: RIGHT, y1: y(value), y2: y(value), stroke: "var(--line)" }),
        shape("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, label),
    ]);
}

// The lowest and highest sum of what is stacked below and above zero, and of the line.
function limits(rows, line) {
    let low = 0;
    let high = 0;
    rows.forEach((row, k) => {
        const above = row.reduce((sum, v) => sum + Math.max(v, 0), 0);
        const below = row.reduce((sum, v) => sum + Math.min(v, 0), 0);
        low = Math.min(low, below, line ? line[k] : 0);
        high = Math.max(high, above, line ? line[k] : 0);
    });
    return high - low < 1e-12 ? [low, low + 1] : [low, high];
}

// Steps under a chart, from 0 to `last`: round numbers, and the word where none stands.
function times(last, height) {
    const x = (step) => LEFT + ((RIGHT - LEFT) * step) / Math.max(last, 1);
    const marks = ticks(0, Math.max(last, 1), 8).filter(({ value }) => value <= 0.94 * last);
    const text = (at, anchor, label) =>
        shape("text", { x: at, y: height + 6, "text-anchor": anchor }, label);
    return [
        ...marks.map(({ value, label }) => text(x(value), value ? "middle" : "start", label)),
        text(RIGHT, "end", "step"),
    ];
}

// A chart over time: its x gives the place of a step, `now` marks one, and a pointer over it tells
// `told(step)`.
function place(node, title, height, steps, drawn, told) {
    const x = (k) => LEFT + ((RIGHT - LEFT) * k) / Math.max(steps - 1, 1);
    const now = shape("line", { class: "now", y1: 12, y2: height - 8, stroke: INK });
    const box = { viewBox: `0 0 940 ${height + 10}`, role: "img", "aria-label": title };
    const picture = shape("svg", box, ...drawn, ...times(steps - 1, height), now);
    const hover = element("p", { class: "hover" }, "\u00a0");
    const stepAt = (event) => {
        const frame = picture.getBoundingClientRect();
        const at = ((event.clientX - frame.left) / frame.width) * 940;
        const step = Math.round(((at - LEFT) / (RIGHT - LEFT)) * (steps - 1));
        return Math.min(Math.max(step, 0), steps - 1);
    };
    picture.onpointermove = (event) => {
        const step = stepAt(event);
        hover.textContent = `step ${step}: ${told(step)}`;
    };
    picture.onpointerleave = () => {
        hover.textContent = "\u00a0";
    };
    picture.onclick = (event) => node.chosen && node.chosen(stepAt(event));
    node.replaceChildren(element("h3", {}, title), picture, hover);
    node.x = x;
    node.now = now;
}

// Lines over time, one for each column of rows; a second set is dashed.
function lines(node, title, names, rows, dashed, height) {
    const all = rows.flat().concat(dashed ? dashed.flat() : []);
    let low = Math.min(...[0].concat(minimum(all)));
    let high = Math.max(...[0].concat(maximum(all)));
    if (high - low < 1e-12) high = low + 1;
    const x = (k) => LEFT + ((RIGHT - LEFT) * k) / Math.max(rows.length - 1, 1);
    const y = upward(low, high, height);
    const drawn = axis(low, high, height);
    const line = (from, i, dash) => {
        const points = from.map((row, k) => `${x(k).toFixed(1)},${y(row[i]).toFixed(1)}`).join(" ");
        const style = { points, fill: "none", stroke: color(i), "stroke-width": 1.5 };
        if (dash) style["stroke-dasharray"] = "5 3";
        drawn.push(shape("polyline", style));
    };
    for (let i = 0; i < rows[0].length; i++) {
        line(rows, i, false);
        if (dashed) line(dashed, i, true);
    }
    const told = (k) => names.map((name, i) => `${name} ${format(rows[k][i])}`).join(", ");
    place(node, title, height, rows.length, drawn, told);
}

function minimum(numbers) {
    return numbers.reduce((a, b) => Math.min(a, b), Infinity);
}

function maximum(numbers) {
    return numbers.reduce((a, b) => Math.max(a, b), -Infinity);
}

// Rows of numbers, stacked over time, with a dashed line over them.
function chart(node, title, names, rows, line, height) {
    const steps = rows.length;
    const [low, high] = limits(rows, line);
    const x = (k) => LEFT + ((RIGHT - LEFT) * k) / Math.max(steps - 1, 1);
    const y = upward(low, high, height);
    const point = (k, v) => `${x(k).toFixed(1)},${y(v).toFixed(1)}`;
    const up = new Float64Array(steps);
    const down = new Float64Array(steps);
    const drawn = axis(low, high, height);
    for (let i = 0; i < rows[0].length; i++) {
        const top = [];
        const base = [];
        rows.forEach((row, k) => {
            const side = row[i] > 0 ? up : down;
            base.unshift(point(k, side[k]));
            side[k] += row[i];
            top.push(point(k, side[k]));
        });
        const points = top.concat(base).join(" ");
        drawn.push(shape("polygon", { points, fill: color(i), "fill-opacity": 0.75 }));
    }
    if (line) {
        const points = line.map((v, k) => point(k, v)).join(" ");
        drawn.push(
            shape("polyline", {
                points,
                fill: "none",
                stroke: INK,
                "stroke-width": 1.5,
                "stroke-dasharray": "5 3",
            }),
        );
    }
    const told = (k) => names.map((name, i) => `${name} ${format(rows[k][i])}`).join(", ");
    place(node, title, height, steps, drawn, told);
}
