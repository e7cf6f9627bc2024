// What stands under the table: two actions compared, values along the axes of the action, one
// component with its realised return, series over time, learning curves.
"use strict";

// An action as text: a choice by its name, or numbers.
function actionText(action) {
    if (data.discrete) {
        const which = action.indexOf(Math.max(...action));
        return data.actions[which] || `choice ${which}`;
    }
    return action.map((v) => Math.fround(v).toFixed(3)).join(", ");
}

function keys(names) {
    const items = names.map((name, i) =>
        element("span", {}, element("i", { class: "key", style: `background:${color(i)}` }), name),
    );
    return element("div", { class: "keys" }, ...items);
}

// ---- two actions ---------------------------------------------------------------------------

// Reward differences of candidate a over b, weighted, and the fewest that decide.
function comparePair(episode, known, weights, a, b) {
    const first = candidateParts(episode, known, a, weights);
    const second = candidateParts(episode, known, b, weights);
    const gains = first.map((q, i) => weights[i] * (Math.fround(q) - Math.fround(second[i])));
    const sum = gains.reduce((x, y) => x + y, 0);
    const better = sum >= 0 ? gains : gains.map((x) => -x);
    const why = reasons(better).map((i) => `${data.heads[i]} (${format(better[i])})`);
    const against = better
        .map((x, i) => [x, data.heads[i]])
        .filter((pair) => pair[0] < 0)
        .sort((p, q) => p[0] - q[0])
        .map((pair) => `${pair[1]} (${format(pair[0])})`);
    const names = [a, b].map((c) => actionText(episode.action[known][c]));
    const [winner, loser] = sum >= 0 ? names : [names[1], names[0]];
    let text = `${winner} is worth ${format(Math.abs(sum))} more than ${loser}`;
    text += why.length ? `, because of ${why.join(" and ")}` : "";
    text += against.length
        ? `; against it speaks ${against.join(", ")}.`
        : "; nothing speaks against it.";
    return text;
}

function showPair(episode, known, weights) {
    const count = episode.action[known].length;
    for (const id of ["first", "second"]) {
        const node = byId(id);
        const chosen = Math.min(Number(node.value || (id === "first" ? 0 : 1)), count - 1);
        const options = episode.action[known].map((action, c) => {
            const option = element(
                "option",
                {},
                `${c ? "candidate " + c : "policy"}: ${actionText(action)}`,
            );
            option.value = c;
            return option;
        });
        node.replaceChildren(...options);
        node.value = chosen;
    }
    byId("reasons").textContent = comparePair(
        episode,
        known,
        weights,
        Number(byId("first").value),
        Number(byId("second").value),
    );
}

// ---- along an axis -------------------------------------------------------------------------

// Q_i where one number of the action is moved, or over the choices.
function drawAxis(name, taken, rows, labels) {
    const [wide, height] = [440, 170];
    let low = minimum(rows.flat());
    let high = maximum(rows.flat());
    if (high - low < 1e-12) high = low + 1;
    const last = rows.length - 1;
    const x = (k) => 40 + ((wide - 50) * k) / Math.max(last, 1);
    const y = (v) => height - 22 - ((height - 36) * (v - low)) / (high - low);
    const drawn = [];
    for (const { value, label } of ticks(low, high, 4)) {
        const at = y(value);
        drawn.push(shape("line", { x1: 40, x2: wide - 10, y1: at, y2: at, stroke: "var(--line)" }));
        drawn.push(shape("text", { x: 36, y: at + 4, "text-anchor": "end" }, label));
    }
    labels.forEach(([at, text]) =>
        drawn.push(shape("text", { x: x(at), y: height - 6, "text-anchor": "middle" }, text)),
    );
    for (let i = 0; i < rows[0].length; i++) {
        const points = rows.map((row, k) => `${x(k).toFixed(1)},${y(row[i]).toFixed(1)}`).join(" ");
        const style = { points, fill: "none", stroke: color(i), "stroke-width": 1.5 };
        drawn.push(shape("polyline", style));
    }
    const at = x(taken);
    drawn.push(shape("line", { x1: at, x2: at, y1: 8, y2: height - 20, stroke: INK }));
    const box = { viewBox: `0 0 ${wide} ${height}`, role: "img", "aria-label": name };
    return element("div", { class: "axis" }, element("h4", {}, name), shape("svg", box, ...drawn));
}

function showAxes(episode, step, weights) {
    const at = Math.floor(step / episode.sweepStride);
    const flat = episode.sweep[at];
    const heads = data.heads.length;
    const taken = episode.action_taken[at * episode.sweepStride];
    const axes = data.discrete ? 1 : taken.length;
    const panels = [];
    for (let axis = 0; axis < axes; axis++) {
        const rows = [];
        for (let k = 0; k < data.points; k++) {
            const from = (axis * data.points + k) * heads;
            rows.push(flat.slice(from, from + heads).map((q, i) => weights[i] * q));
        }
        const last = data.points - 1;
        const labels = data.discrete
            ? rows.map((row, k) => [k, data.actions[k] || `${k}`])
            : [0, last / 2, last].map((k) => [k, `${(2 * k) / last - 1}`]);
        const where = data.discrete
            ? taken.indexOf(Math.max(...taken))
            : ((taken[axis] + 1) / 2) * last;
        const name = data.discrete ? "the choices" : data.actions[axis] || `action ${axis}`;
        panels.push(drawAxis(name, where, rows, labels));
    }
    const title =
        `Values along the action, weighted, at step ${at * episode.sweepStride}; ` +
        `the line is the action taken`;
    byId("axes").replaceChildren(element("h3", {}, title), keys(data.heads), ...panels);
}

// ---- over time -----------------------------------------------------------------------------

function showComponent(episode) {
    const i = Number(byId("component").value);
    const pair = episode.value.map((row) => [row[i]]);
    const came = episode.returns.map((row) => [row[i]]);
    const title = `Value of ${data.heads[i]}; dashed: the return that then came`;
    lines(byId("component-chart"), title, [data.heads[i]], pair, came, 170);
}

const columnNames = { action_taken: "actions", reward: "components", obs: "observations" };

function showSeries(episode) {
    const what = byId("what").value || "action_taken";
    const names = episode[what][0].map((v, i) => data[columnNames[what]][i] || `${i}`);
    const title = { action_taken: "Actions", reward: "Rewards of each step", obs: "Observations" }[
        what
    ];
    lines(byId("series-chart"), title, names, episode[what], null, 170);
    byId("series-chart").append(keys(names));
}

// Returns over training; a second run is dashed.
function drawCurves() {
    if (!data.curves.length) return;
    const [wide, height] = [940, 220];
    const steps = data.curves.flatMap((c) => c.step[0]);
    const values = data.curves.flatMap((c) => c.value[0]);
    const most = maximum(steps);
    const low = minimum(values);
    const high = Math.max(maximum(values), low + 1e-9);
    const x = (k) => LEFT + ((RIGHT - LEFT) * k) / most;
    const y = upward(low, high, height);
    const drawn = axis(low, high, height);
    data.curves.forEach((c, i) => {
        const points = c.step[0].map((k, n) => `${x(k).toFixed(1)},${y(c.value[0][n]).toFixed(1)}`);
        const style = {
            points: points.join(" "),
            fill: "none",
            stroke: color(i),
            "stroke-width": 1.5,
        };
        drawn.push(shape("polyline", style));
    });
    drawn.push(...times(most, height));
    const title = "Return of training over steps, mean of 20 episodes";
    const box = { viewBox: `0 0 ${wide} ${height + 12}`, role: "img", "aria-label": title };
    const names = keys(data.curves.map((c) => c.name));
    byId("curves").replaceChildren(element("h3", {}, title), shape("svg", box, ...drawn), names);
}
