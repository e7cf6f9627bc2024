// The environments, drawn from their observations.
"use strict";

function dot(x, y, r, fill) {
    return shape("circle", { cx: x, cy: y, r, fill });
}

function segment(x1, y1, x2, y2, stroke, width = 2) {
    const round = { "stroke-width": width, "stroke-linecap": "round" };
    return shape("line", { x1, y1, x2, y2, stroke, ...round });
}

function scene(viewBox, ...children) {
    return shape("svg", { viewBox, role: "img", "aria-label": "the environment" }, ...children);
}

function drawPendulum(o, a) {
    const sign = a[0] > 0;
    return scene(
        "-160 -130 320 260",
        segment(0, 0, 100 * o[1], -100 * o[0], INK, 14),
        dot(0, 0, 6, SOFT),
        shape("path", {
            d: `M0 -20 A20 20 0 0 ${sign ? 1 : 0} ${sign ? 20 : -20} 0`,
            fill: "none",
            stroke: color(0),
            "stroke-width": (6 * Math.abs(a[0])).toFixed(2),
        }),
    );
}

// The lander of vdi has its left leg's contact first, that of Box2D its right one.
function drawLander(o, a, left, right) {
    const leg = (side, on) => segment(14 * side, 10, 22 * side, 18, on > 0.5 ? color(2) : SOFT, 5);
    const parts = [leg(-1, o[left]), leg(1, o[right])];
    if (a[0] > 0) parts.push(segment(0, 10, 0, 22 + 14 * a[0], color(1), 6));
    if (Math.abs(a[1]) > 0.5) {
        const away = a[1] > 0 ? -1 : 1;
        parts.push(segment(17 * away, -4, 31 * away, -4, color(1), 4));
    }
    parts.push(shape("polygon", { points: "-14,-17 -17,0 -17,10 17,10 17,0 14,-17", fill: INK }));
    const turned = (-o[4] * 180) / Math.PI;
    const at = `translate(${300 * o[0]} ${-(200 * o[1] + 18)}) rotate(${turned})`;
    return scene(
        "-340 -420 680 450",
        segment(-330, 0, 330, 0, SOFT, 2),
        segment(-60, 0, 60, 0, color(2), 4),
        shape("g", { transform: at }, ...parts),
    );
}

function drawNavigate(o, a) {
    const x = 100 * o[0];
    const y = -100 * o[1];
    const obstacles = [0, 1, 2].map((k) =>
        dot(x + 100 * o[6 + 3 * k], y - 100 * o[7 + 3 * k], 100 * o[8 + 3 * k], SOFT),
    );
    return scene(
        "-110 -110 220 225",
        ...obstacles,
        dot(x + 100 * o[4], y - 100 * o[5], 6, color(2)),
        dot(x, y, 4, INK),
        segment(x, y, x + 16 * a[0], y - 16 * a[1], color(1), 2),
        shape("rect", {
            x: -100,
            y: 104,
            width: Math.max(0, 200 * o[15]),
            height: 4,
            fill: color(0),
        }),
    );
}

function drawWalker(o) {
    const from = (x, y, angle, length) => [
        x + length * Math.sin(angle),
        y + length * Math.cos(angle),
    ];
    const hull = -o[0];
    const ground = [];
    for (let i = 0; i < 10; i++) {
        const [x, y] = from(0, 0, 0.15 * i, 160 * o[14 + i]);
        ground.push(`${x.toFixed(1)},${y.toFixed(1)}`);
    }
    const leg = (hip, knee, contact, stroke) => {
        const top = from(0, 0, -hull, 8);
        const middle = from(top[0], top[1], -hull + hip, 34);
        const foot = from(middle[0], middle[1], -hull + hip + knee, 34);
        const drawn = [
            segment(...top, ...middle, stroke, 8),
            segment(...middle, ...foot, stroke, 6),
        ];
        if (contact > 0.5) drawn.push(dot(foot[0], foot[1], 5, color(2)));
        return drawn;
    };
    const body = shape("polygon", { points: "-30,-9 6,-9 34,-1 34,8 -30,8", fill: INK });
    return scene(
        "-110 -70 300 180",
        shape("polyline", {
            points: ground.join(" "),
            fill: "none",
            stroke: SOFT,
            "stroke-width": 2,
        }),
        ...leg(o[9], o[11] - 1, o[13], SOFT),
        shape("g", { transform: `rotate(${((hull * 180) / Math.PI).toFixed(2)})` }, body),
        ...leg(o[4], o[6] - 1, o[8], color(0)),
    );
}

// Any other: a bar for each observation, with its name.
function drawOther(o, a, names) {
    const bars = o.flatMap((v, i) => [
        shape("rect", {
            x: v < 0 ? 100 + 90 * Math.max(v, -1) : 100,
            y: 14 * i,
            width: 90 * Math.min(Math.abs(v), 1),
            height: 10,
            fill: color(0),
        }),
        shape("text", { x: 196, y: 14 * i + 9 }, names[i] || `o${i}`),
    ]);
    return scene(`0 -6 300 ${14 * o.length + 10}`, ...bars);
}

const environments = new Map([
    ["pendulum", drawPendulum],
    ["lander", (o, a) => drawLander(o, a, 6, 7)],
    ["lunar-lander", (o, a) => drawLander(o, a, 7, 6)],
    ["navigate", drawNavigate],
    ["bipedal-walker", drawWalker],
]);

function drawEnvironment(name, observation, action, names) {
    return (environments.get(name) || drawOther)(observation, action, names);
}
