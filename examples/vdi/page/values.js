// What follows from an agent's values, without a page: the same sums in the same order as the
// library's vdi_what_if, so the same candidate.
//
// An episode holds, by known state and candidate action, the values that both twins give to each
// component: q0[state][candidate][component], q1 likewise; they are float32.
"use strict";

// Ten that can be told apart, also with deficient colour vision (after Paul Tol); then lighter
// ones.
const COLORS = [
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#ee8866",
    "#888888",
    "#44bb99",
    "#775533",
];

function color(i) {
    const base = COLORS[i % COLORS.length];
    return i < COLORS.length ? base : `color-mix(in srgb, ${base} 55%, white)`;
}

function format(x) {
    if (x === null || !Number.isFinite(x)) return "\u2013";
    const size = Math.abs(x);
    return x.toFixed(size >= 100 ? 0 : size >= 1 ? 2 : 3);
}

// The weighted sum of a candidate's values.
function weighted(values, weights) {
    let sum = 0;
    for (let i = 0; i < weights.length; i++) sum += weights[i] * Math.fround(values[i]);
    return sum;
}

// The candidate whose smaller twin is largest.
function bestCandidate(episode, state, weights) {
    let at = -1;
    let top = -Infinity;
    for (let c = 0; c < episode.action[state].length; c++) {
        const value = Math.min(
            weighted(episode.q0[state][c], weights),
            weighted(episode.q1[state][c], weights),
        );
        if (at < 0 || value > top) {
            at = c;
            top = value;
        }
    }
    return { at, value: top };
}

// Each component's value at a candidate, of the twin whose sum is smaller.
function candidateParts(episode, state, candidate, weights) {
    const first = episode.q0[state][candidate];
    const second = episode.q1[state][candidate];
    return weighted(first, weights) <= weighted(second, weights) ? first : second;
}

// The fewest reasons for one action that outweigh all that speaks against it, as indices.
function reasons(differences) {
    const order = differences
        .map((x, i) => [x, i])
        .filter((pair) => pair[0] > 0)
        .sort((p, q) => q[0] - p[0]);
    let against = 0;
    let sum = 0;
    for (const x of differences) if (x < 0) against -= x;
    const found = [];
    for (const [x, i] of order) {
        if (sum > against) break;
        found.push(i);
        sum += x;
    }
    return found;
}

// Influences under other weights than the agent's own, as shares.
function shares(influence, own, weights) {
    const moved = influence.map((x, i) => (own[i] ? Math.abs(weights[i] / own[i]) * x : x));
    const all = moved.reduce((sum, x) => sum + x, 1e-300);
    return moved.map((x) => x / all);
}
