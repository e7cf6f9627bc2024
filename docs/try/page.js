// The page: files in, canvases out. All arithmetic is in the workers (worker.js), which run the
// library.
"use strict";
const $ = (id) => document.getElementById(id);

// ---- workers ------------------------------------------------------------------------------------

class Library {
    constructor(module) {
        this.worker = new Worker(
            URL.createObjectURL(new Blob([$("worker").textContent], { type: "text/javascript" })),
        );
        this.waiting = new Map();
        this.count = 0;
        this.worker.onmessage = ({ data }) => {
            const { resolve, reject } = this.waiting.get(data.id);
            this.waiting.delete(data.id);
            if (data.error) reject(new Error(data.error));
            else resolve(data.answer);
        };
        this.ready = this.call("start", { module });
    }
    call(call, what = {}) {
        return new Promise((resolve, reject) => {
            this.waiting.set(++this.count, { resolve, reject });
            this.worker.postMessage({ id: this.count, call, ...what });
        });
    }
}

let one; // for files, the population and the agent
const more = []; // for the spikes of many neurons
async function begin() {
    const packed = Uint8Array.from(atob($("module").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const module = await WebAssembly.compile(await new Response(stream).arrayBuffer());
    one = new Library(module);
    for (let i = 1; i < Math.min(navigator.hardwareConcurrency || 2, 16); i++)
        more.push(new Library(module));
    const { version, simd } = await one.ready;
    $("version").textContent = `vdi ${version}, ${simd}, ${1 + more.length} threads`;
    document.body.dataset.ready = "yes";
}
const ready = begin().catch((error) =>
    tell("spikes", `This browser cannot run the page: ${error.message}`, true),
);

function tell(where, text, bad = false) {
    $(`${where}-told`).textContent = text;
    $(`${where}-told`).classList.toggle("bad", bad);
}
const guarded =
    (where, work) =>
    async (...args) => {
        try {
            await ready;
            await work(...args);
        } catch (error) {
            tell(where, error.message, true);
        }
    };

// ---- tabs, and files dropped on them ------------------------------------------------------------

const tabs = [...document.querySelectorAll("[role=tab]")];
function show(tab) {
    for (const t of tabs) {
        const on = t === tab;
        t.setAttribute("aria-selected", on);
        t.tabIndex = on ? 0 : -1;
        $(t.getAttribute("aria-controls")).hidden = !on;
    }
    drawAll();
}
tabs.forEach((t, i) => {
    t.onclick = () => show(t);
    t.onkeydown = (e) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
        if (!step) return;
        const next = tabs[(i + step + tabs.length) % tabs.length];
        next.focus();
        show(next);
    };
});

function takesFiles(where, taken) {
    const drop = document.querySelector(`.drop[data-for=${where}]`),
        take = guarded(where, async (file) => {
            tell(where, `reading ${file.name} ...`);
            const bytes = new Uint8Array(await file.arrayBuffer());
            await taken(
                await one.call("array", { bytes, name: $(`${where}-name`).value }),
                file.name,
            );
        });
    drop.ondragover = (e) => {
        e.preventDefault();
        drop.classList.add("over");
    };
    drop.ondragleave = () => drop.classList.remove("over");
    drop.ondrop = (e) => {
        e.preventDefault();
        drop.classList.remove("over");
        if (e.dataTransfer.files[0]) take(e.dataTransfer.files[0]);
    };
    $(`${where}-file`).onchange = (e) => {
        if (e.target.files[0]) take(e.target.files[0]);
        e.target.value = "";
    };
}

// ---- drawing ------------------------------------------------------------------------------------

const style = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
// A canvas in the pixels of the screen, cleared: its context, width and height.
function surface(canvas) {
    const width = canvas.clientWidth,
        height = +canvas.dataset.height || +canvas.getAttribute("height"),
        scale = devicePixelRatio || 1;
    canvas.dataset.height = height;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const c = canvas.getContext("2d");
    c.scale(scale, scale);
    c.font = "12px system-ui, sans-serif";
    c.fillStyle = style("ink");
    return [c, width, height];
}
const viridis = (t) => {
    const stops = [
        [68, 1, 84],
        [59, 82, 139],
        [33, 145, 140],
        [94, 201, 98],
        [253, 231, 37],
    ];
    const x = Math.max(0, Math.min(0.9999, t)) * 4,
        i = Math.floor(x),
        f = x - i;
    return `rgb(${stops[i].map((a, k) => Math.round(a + f * (stops[i + 1][k] - a))).join(",")})`;
};
// The least and largest of each pixel column, so that no peak is lost.
function line(c, values, from, to, x0, width, y, color, lineWidth = 1) {
    c.strokeStyle = color;
    c.lineWidth = lineWidth;
    c.beginPath();
    const n = to - from,
        columns = Math.min(n, Math.ceil(width));
    for (let k = 0; k < columns; k++) {
        let low = Infinity,
            high = -Infinity;
        for (
            let i = from + Math.floor((k * n) / columns);
            i < from + Math.floor(((k + 1) * n) / columns);
            i++
        ) {
            if (values[i] < low) low = values[i];
            if (values[i] > high) high = values[i];
        }
        if (low > high) continue;
        const x = x0 + ((k + 0.5) / columns) * width;
        c.lineTo(x, y(low));
        if (high > low) c.lineTo(x, y(high));
    }
    c.stroke();
}
// The area between two lines, the widest of each pixel column.
function band(c, low, high, x0, width, y) {
    const n = low.length,
        columns = Math.min(n, Math.ceil(width)),
        at = (k) => Math.floor((k * n) / columns);
    c.globalAlpha = 0.25;
    c.fillStyle = style("blue");
    for (let k = 0; k < columns; k++) {
        const from = low.subarray(at(k), Math.max(at(k) + 1, at(k + 1))),
            to = high.subarray(at(k), Math.max(at(k) + 1, at(k + 1)));
        const top = y(Math.max(...to)),
            foot = y(Math.min(...from));
        c.fillRect(x0 + (k / columns) * width, top, width / columns + 0.3, foot - top);
    }
    c.globalAlpha = 1;
}
const range = (values) => {
    let low = Infinity,
        high = -Infinity;
    for (const v of values) {
        if (v < low) low = v;
        if (v > high) high = v;
    }
    return low < high ? [low, high] : [low - 1, high + 1];
};
function timeAxis(c, x0, width, y, seconds) {
    const step =
        [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600].find(
            (s) => seconds / s <= width / 70,
        ) || seconds;
    c.fillStyle = style("faint");
    for (let t = 0; t <= seconds; t += step) {
        const text = `${+t.toFixed(1)} s`,
            wide = c.measureText(text).width;
        c.fillText(
            text,
            Math.max(x0, Math.min(x0 + (t / seconds) * width - wide / 2, x0 + width - wide)),
            y,
        );
    }
}

// ---- spikes -------------------------------------------------------------------------------------

const S = { traces: null, rows: 0, frames: 0, out: null, numbers: null, at: 0, run: 0 };
// Milliseconds between two drawings of what is there: the workers need the cores, too.
const AGAIN = 1000;

// The workers take neurons as they come free, a few at a time, so that the first ones are seen
// while the others are worked on.
async function infer() {
    const { traces, rows, frames } = S,
        fps = +$("fps").value,
        run = ++S.run,
        began = performance.now();
    const out = new Float32Array(rows * 3 * frames),
        numbers = new Float64Array(rows * 4);
    const each = Math.max(
        1,
        Math.min(8, Math.floor(50000 / frames), Math.ceil(rows / (1 + more.length))),
    );
    let next = 0,
        done = 0,
        drawn = 0,
        first = 0;
    const seconds = () => (performance.now() - began) / 1000;
    const shown = () => {
        if (!first) first = seconds();
        drawn = performance.now();
        Object.assign(S, { out, numbers, at: Math.min(S.at, rows - 1) });
        $("spikes-plots").hidden = false;
        $("neuron").max = rows - 1;
        drawSpikes();
    };
    S.out = null;
    tell("spikes", `${rows} neurons, ${frames} frames ...`);
    await Promise.all(
        [one, ...more].map(async (library) => {
            while (next < rows && S.run === run) {
                // the first ones alone, to be seen soon
                const from = next,
                    to = Math.min(rows, from + (from <= more.length ? 1 : each));
                next = to;
                const part = await library.call("spikes", {
                    traces: traces.subarray(from * frames, to * frames),
                    frames,
                    fps,
                });
                out.set(part.out, from * 3 * frames);
                numbers.set(part.numbers, from * 4);
                done += to - from;
                if (S.run !== run || done === rows || performance.now() - drawn < AGAIN) continue;
                tell("spikes", `${done} of ${rows} neurons, ${seconds().toFixed(1)} s ...`);
                shown();
            }
        }),
    );
    if (S.run !== run) return; // other traces have come
    const took = seconds();
    shown();
    let sum = 0;
    for (let i = 0; i < rows; i++) sum += numbers[4 * i + 2];
    const odd =
        rows > frames ? " More neurons than frames: should rows and columns be exchanged?" : "";
    const duration = (frames / fps).toFixed(1);
    tell(
        "spikes",
        `${rows} neurons, ${frames} frames (${duration} s) in ${took.toFixed(2)} s: ` +
            `${sum.toFixed(1)} spikes.${odd}`,
    );
    $("spikes-plots").dataset.first = first;
    $("spikes-turn").disabled = $("spikes-save").disabled = false;
}
function drawSpikes() {
    if (!S.out || $("spikes").hidden) return;
    const fps = +$("fps").value,
        [c, width, height] = surface($("raster")),
        left = 4,
        wide = width - 8,
        high = height - 18;
    $("neuron").value = S.at;
    // each neuron's own largest is black
    for (let i = 0; i < S.rows; i++) {
        const s = S.out.subarray(i * 3 * S.frames, (i * 3 + 1) * S.frames),
            columns = Math.floor(wide);
        const y = (i / S.rows) * high,
            h = Math.max(high / S.rows - (S.rows < 60 ? 1 : 0), 0.6);
        let most = 1e-9;
        for (const v of s) if (v > most) most = v;
        for (let k = 0; k < columns; k++) {
            let v = 0;
            for (
                let f = Math.floor((k * S.frames) / columns),
                    end = Math.max(f + 1, Math.floor(((k + 1) * S.frames) / columns));
                f < end;
                f++
            )
                v = Math.max(v, s[f]);
            if (v < 0.05 * most) continue;
            c.globalAlpha = Math.min(1, v / most);
            c.fillStyle = i === S.at ? style("blue") : style("ink");
            c.fillRect(left + k, y, 1.2, h);
        }
    }
    c.globalAlpha = 1;
    timeAxis(c, left, wide, height - 4, S.frames / fps);
    drawTrace(fps);
}
function drawTrace(fps) {
    const [c, width, height] = surface($("trace")),
        left = 4,
        wide = width - 8,
        F = S.frames,
        base = S.at * 3 * F;
    const trace = S.traces.subarray(S.at * F, (S.at + 1) * F);
    const spikes = S.out.subarray(base, base + F),
        deviation = S.out.subarray(base + F, base + 2 * F),
        denoised = S.out.subarray(base + 2 * F, base + 3 * F);
    const [low, high] = range(trace),
        up = spikes.map((v, i) => v + deviation[i]),
        down = spikes.map((v, i) => Math.max(0, v - deviation[i]));
    const most = range(up)[1],
        top = (v) => 18 + (1 - (v - low) / (high - low)) * (height * 0.55 - 18);
    const bottom = (v) => height - 20 - (v / most) * (height * 0.36);
    line(c, trace, 0, F, left, wide, top, style("faint"), 0.8);
    line(c, denoised, 0, F, left, wide, top, style("ink"), 1.4);
    band(c, down, up, left, wide, bottom);
    line(c, spikes, 0, F, left, wide, bottom, style("blue"), 1.4);
    c.fillStyle = style("faint");
    c.fillText("fluorescence, and without noise", left, 12);
    c.fillStyle = style("blue");
    c.fillText(
        `expected spikes a frame, one standard deviation beside it (up to ${most.toFixed(2)})`,
        left,
        height * 0.6 + 4,
    );
    timeAxis(c, left, wide, height - 4, F / fps);
    const [noise, scale, count, unusual] = S.numbers.subarray(4 * S.at, 4 * S.at + 4),
        ratio = scale / noise;
    const grade = ratio < 1.2 ? " (poor)" : ratio < 2 ? " (fair)" : "";
    $("neuron-told").textContent =
        `${S.at + 1} of ${S.rows}: ${count.toFixed(1)} spikes; ` +
        `signal ${ratio.toFixed(1)} times the noise${grade}; ` +
        `${unusual > 2 ? "unlike" : "like"} the cells it was trained on (${unusual.toFixed(1)})`;
}
const setTraces = (values, rows, frames) => {
    S.traces = Float32Array.from(values);
    S.rows = rows;
    S.frames = frames;
    S.at = 0;
    return infer();
};
takesFiles("spikes", ({ shape, values }, name) => {
    if (shape.length === 1) return setTraces(values, 1, shape[0]);
    if (shape.length !== 2)
        throw new Error(`expected (neurons, frames), got (${shape.join(", ")})`);
    // a table has a neuron a column, an array a neuron a row
    return /\.(csv|tsv|txt)$/i.test(name)
        ? turned(values, shape[0], shape[1])
        : setTraces(values, shape[0], shape[1]);
});
function turned(values, rows, columns) {
    const out = new Float32Array(values.length);
    for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) out[j * rows + i] = values[i * columns + j];
    return setTraces(out, columns, rows);
}
$("spikes-turn").onclick = guarded("spikes", () => turned(S.traces, S.rows, S.frames));
$("fps").onchange = guarded("spikes", () => S.traces && infer());
$("neuron").oninput = () => {
    S.at = +$("neuron").value;
    drawSpikes();
};
$("raster").onkeydown = (e) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (!step || !S.out) return;
    e.preventDefault();
    S.at = Math.max(0, Math.min(S.rows - 1, S.at + step));
    drawSpikes();
};
$("raster").onclick = (e) => {
    if (!S.out) return;
    S.at = Math.max(
        0,
        Math.min(S.rows - 1, Math.floor((e.offsetY / (+$("raster").dataset.height - 18)) * S.rows)),
    );
    drawSpikes();
};
$("spikes-save").onclick = () => {
    const rows = Array.from({ length: S.frames }, (_, f) =>
        Array.from({ length: S.rows }, (_, i) => +S.out[i * 3 * S.frames + f].toPrecision(6)).join(
            ",",
        ),
    );
    const names = Array.from({ length: S.rows }, (_, i) => `neuron ${i + 1}`);
    const text = `${names.join(",")}\n${rows.join("\n")}\n`;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = "spikes.csv";
    link.click();
};

// Numbers at random, the same in each visit.
function random(seed) {
    let s = seed >>> 0;
    const uniform = () => {
        s = (s + 0x6d2b79f5) >>> 0;
        let t = Math.imul(s ^ (s >>> 15), 1 | s);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    const normal = () =>
        Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    const poisson = (mean) => {
        let k = 0;
        for (let p = Math.exp(-mean), q = uniform(); q > p; k++) q *= uniform();
        return k;
    };
    return { uniform, normal, poisson };
}
function exampleTraces(rows = 20, frames = 3000, fps = 30) {
    const r = random(3),
        traces = new Float32Array(rows * frames);
    for (let i = 0; i < rows; i++) {
        const decay = Math.exp(-1 / (fps * (0.3 + 0.7 * r.uniform()))),
            noise = 0.1 + 0.25 * r.uniform();
        let calcium = 0,
            active = 0;
        for (let f = 0; f < frames; f++) {
            if (f % 60 === 0) active = r.uniform() < 0.25 ? 3 : 0.2;
            calcium = calcium * decay + r.poisson(active / fps);
            traces[i * frames + f] = calcium + noise * r.normal();
        }
    }
    return { traces, rows, frames };
}
$("spikes-example").onclick = guarded("spikes", () => {
    const e = exampleTraces();
    $("fps").value = 30;
    return setTraces(e.traces, e.rows, e.frames);
});

// ---- a population -------------------------------------------------------------------------------

const P = { values: null, trials: 0, bins: 0, neurons: 0, mean: null, bound: [], running: 0 };

takesFiles("population", ({ shape, values }) => {
    if (shape.length === 2) shape = [1, ...shape];
    if (shape.length !== 3)
        throw new Error(`expected (trials, bins, neurons), got (${shape.join(", ")})`);
    setCounts(values, ...shape);
});
function setCounts(values, trials, bins, neurons) {
    Object.assign(P, {
        values: Float64Array.from(values),
        trials,
        bins,
        neurons,
        mean: null,
        bound: [],
    });
    $("learn").disabled = false;
    tell("population", `${trials} trials, ${bins} bins, ${neurons} neurons. Press "learn".`);
}
$("population-example").onclick = guarded("population", () => {
    const r = random(5),
        trials = 60,
        bins = 40,
        neurons = 30,
        values = new Float64Array(trials * bins * neurons);
    const centres = Array.from({ length: neurons }, () => [
        3 * r.uniform() - 1.5,
        3 * r.uniform() - 1.5,
    ]);
    for (let k = 0; k < trials; k++) {
        const speed = 0.12 + 0.05 * r.uniform();
        let angle = 2 * Math.PI * r.uniform(),
            radius = 0.7 + 0.4 * r.uniform();
        for (let t = 0; t < bins; t++) {
            angle += speed + 0.03 * r.normal();
            radius += 0.02 * r.normal();
            const [x, y] = [radius * Math.cos(angle), radius * Math.sin(angle)];
            centres.forEach(([a, b], n) => {
                values[(k * bins + t) * neurons + n] = r.poisson(
                    1.5 * Math.exp(-((x - a) ** 2 + (y - b) ** 2)),
                );
            });
        }
    }
    setCounts(values, trials, bins, neurons);
});
$("learn").onclick = guarded("population", async () => {
    const run = ++P.running;
    P.bound = [];
    await one.call("latentsStart", {
        values: P.values,
        trials: P.trials,
        bins: P.bins,
        neurons: P.neurons,
        steps: +$("steps").value,
    });
    $("population-plots").hidden = false;
    for (let over = false; !over && run === P.running;) {
        const a = await one.call("latentsStep", { count: 20 });
        if (run !== P.running) return;
        over = a.over;
        P.mean = a.mean;
        if (!over) P.bound.push([a.step, a.elbo]);
        tell(
            "population",
            over
                ? `Done: ${a.elbo.toFixed(3)} nats a bin.`
                : `step ${a.step} of ${a.steps}: ${a.elbo.toFixed(3)} nats a bin`,
        );
        drawPopulation();
    }
});
function drawPopulation() {
    if (!P.mean || $("population").hidden) return;
    const [c, width, height] = surface($("latents")),
        x = P.mean.filter((_, i) => i % 2 === 0),
        y = P.mean.filter((_, i) => i % 2 === 1);
    const [[x0, x1], [y0, y1]] = [range(x), range(y)],
        scale = Math.min((width - 20) / (x1 - x0), (height - 40) / (y1 - y0));
    const at = (i) => [
        width / 2 + (x[i] - (x0 + x1) / 2) * scale,
        height / 2 - 10 - (y[i] - (y0 + y1) / 2) * scale,
    ];
    c.lineWidth = 1.2;
    c.globalAlpha = P.trials > 20 ? 0.55 : 0.9;
    for (let k = 0; k < P.trials; k++) {
        for (let t = 1; t < P.bins; t++) {
            c.strokeStyle = viridis(t / P.bins);
            c.beginPath();
            c.moveTo(...at(k * P.bins + t - 1));
            c.lineTo(...at(k * P.bins + t));
            c.stroke();
        }
    }
    c.globalAlpha = 1;
    for (let k = 0; k < 120; k++) {
        c.fillStyle = viridis(k / 120);
        c.fillRect(8 + k, height - 12, 1.5, 8);
    }
    c.fillStyle = style("faint");
    c.fillText(`from the first bin to bin ${P.bins}`, 134, height - 4);
    const [b, wide, high] = surface($("bound")),
        steps = P.bound.map(([s]) => s),
        values = P.bound.map(([, v]) => v);
    if (values.length < 2) return;
    const sorted = [...values].sort((p, q) => p - q),
        low = sorted[Math.floor(sorted.length * 0.05)],
        top = sorted[sorted.length - 1];
    b.strokeStyle = style("blue");
    b.beginPath();
    values.forEach((v, i) =>
        b.lineTo(
            4 + (steps[i] / steps[steps.length - 1]) * (wide - 8),
            high - 18 - (Math.max(v - low, 0) / (top - low || 1)) * (high - 34),
        ),
    );
    b.stroke();
    const bound = values[values.length - 1].toFixed(2);
    b.fillText(
        `bound on log p(y), nats a bin: ${bound} (three starts, then the best goes on)`,
        4,
        12,
    );
}

// ---- an agent -----------------------------------------------------------------------------------

const A = {
    names: [],
    weights: [],
    returns: [],
    training: false,
    seen: null,
    obs: null,
    episode: 0,
    started: "",
    watching: false,
};
const STEPS = 100;

async function startAgent() {
    const env = $("task").value,
        { names } = await one.call("agentStart", { env, seed: 1 });
    Object.assign(A, {
        names: [...names, "entropy"],
        weights: [...names, 0].map(() => 1),
        returns: [],
        seen: null,
        obs: null,
        started: env,
        steps: 0,
    });
    const box = $("components");
    box.replaceChildren(
        ...["", "weight", "value", "influence"].map((t) =>
            Object.assign(document.createElement("b"), { textContent: t }),
        ),
    );
    A.rows = A.names.map((name, i) => {
        const label = Object.assign(document.createElement("label"), {
            textContent: name,
            htmlFor: `weight-${i}`,
        });
        const slider = Object.assign(document.createElement("input"), {
            type: "range",
            min: 0,
            max: 3,
            step: 0.05,
            value: 1,
            id: `weight-${i}`,
        });
        const value = document.createElement("div"),
            influence = document.createElement("div");
        value.className = influence.className = "bar";
        slider.oninput = guarded("agent", async () => {
            A.weights[i] = +slider.value;
            await one.call("agentWeights", { weights: A.weights });
        });
        box.append(label, slider, value, influence);
        return { value, influence };
    });
}
$("train").onclick = guarded("agent", async () => {
    if (A.training) {
        A.training = false;
        $("train").textContent = "train";
        return;
    }
    if (A.started !== $("task").value) await startAgent();
    A.training = true;
    $("train").textContent = "pause";
    $("again").disabled = false;
    watch();
    while (A.training) {
        const { returns } = await one.call("agentTrain", { steps: STEPS }),
            m = A.names.length - 1;
        A.steps += STEPS;
        for (let i = 0; i < returns.length; i += m) A.returns.push([...returns.subarray(i, i + m)]);
        const last = A.returns.slice(-5),
            sum = last.reduce((a, r) => a + r.reduce((p, q) => p + q, 0), 0) / last.length;
        const mean = `, return ${sum.toFixed(0)} (mean of the last ${last.length})`;
        tell("agent", `${A.steps} steps, ${A.returns.length} episodes${last.length ? mean : ""}`);
        drawReturns();
    }
});
$("task").onchange = () => {
    A.training = false;
    $("train").textContent = "train";
    A.seen = A.obs = null;
};
$("again").onclick = () => {
    A.obs = null;
    A.episode++;
    watch();
};

// One episode after the other, a few steps a frame of the screen.
async function watch() {
    if (A.watching) return;
    A.watching = true;
    const stop = () => !A.started || A.started !== $("task").value || $("agent").hidden;
    try {
        while (!stop()) {
            const { seen, obs } = await one.call("agentPlay", {
                episode: A.episode,
                steps: 2,
                obs: A.obs,
            });
            A.obs = obs;
            if (seen.length) {
                A.seen = seen[seen.length - 1];
                drawStage();
            }
            if (!seen.length || A.seen.end) {
                A.obs = null;
                A.episode++;
            }
            await new Promise((resolve) => setTimeout(resolve, A.started === "pendulum" ? 60 : 30));
        }
    } catch (error) {
        tell("agent", error.message, true);
    }
    A.watching = false;
}
function drawStage() {
    if (!A.seen || $("agent").hidden) return;
    const [c, width, height] = surface($("stage")),
        o = A.seen.obs;
    c.strokeStyle = c.fillStyle = style("ink");
    if (A.started === "pendulum") {
        const [x, y, r] = [width / 2, height / 2, height * 0.36];
        c.lineWidth = 10;
        c.lineCap = "round";
        c.beginPath();
        c.moveTo(x, y);
        c.lineTo(x + r * o[1], y - r * o[0]);
        c.stroke();
        c.beginPath();
        c.arc(x, y, 5, 0, 7);
        c.fill();
        c.strokeStyle = style("red");
        c.lineWidth = 3;
        c.beginPath();
        c.arc(x, y, 26, -Math.PI / 2, -Math.PI / 2 + A.seen.action[0] * 2, A.seen.action[0] < 0);
        c.stroke();
    } else {
        // positions are in units of half the field's width, and of its height above the pad
        const ground = height - 24,
            x = width / 2 + o[0] * width * 0.4,
            y = ground - o[1] * (height * 0.55);
        c.lineWidth = 1;
        c.beginPath();
        c.moveTo(0, ground);
        c.lineTo(width, ground);
        c.stroke();
        c.fillStyle = style("blue");
        c.fillRect(width / 2 - 34, ground - 2, 68, 4);
        c.save();
        c.translate(x, y - 14);
        c.rotate(-o[4]);
        c.fillStyle = style("ink");
        c.beginPath();
        [
            [-11, 8],
            [-13, -2],
            [-8, -12],
            [8, -12],
            [13, -2],
            [11, 8],
        ].forEach(([a, b]) => c.lineTo(a, b));
        c.fill();
        c.strokeStyle = style("ink");
        c.lineWidth = 2;
        for (const s of [-1, 1]) {
            c.beginPath();
            c.moveTo(8 * s, 6);
            c.lineTo(15 * s, 15);
            c.stroke();
        }
        c.fillStyle = style("red");
        const [main, side] = A.seen.action;
        if (main > 0) {
            c.beginPath();
            c.moveTo(-5, 9);
            c.lineTo(5, 9);
            c.lineTo(0, 12 + 16 * main);
            c.fill();
        }
        if (Math.abs(side) > 0.5) {
            const s = -Math.sign(side);
            c.beginPath();
            c.moveTo(12 * s, -6);
            c.lineTo(12 * s, 0);
            c.lineTo((14 + 10 * Math.abs(side)) * s, -3);
            c.fill();
        }
        c.restore();
    }
    const value = A.seen.value,
        influence = A.seen.influence,
        most = Math.max(...[...value].map(Math.abs), 1e-9),
        sum = [...influence].reduce((a, b) => a + b, 0) || 1;
    A.rows.forEach((row, i) => {
        row.value.style.width = `${(100 * Math.abs(value[i])) / most}%`;
        row.value.classList.toggle("minus", value[i] < 0);
        row.value.title = value[i].toFixed(2);
        row.influence.style.width = `${(100 * influence[i]) / sum}%`;
        row.influence.title = `${((100 * influence[i]) / sum).toFixed(0)} %`;
    });
}
function drawReturns() {
    if ($("agent").hidden || !A.returns.length) return;
    const [c, width, height] = surface($("returns")),
        totals = A.returns.map((r) => r.reduce((a, b) => a + b, 0)),
        [low, high] = range(totals);
    const x = (i) => 4 + (i / Math.max(totals.length - 1, 1)) * (width - 8),
        y = (v) => 16 + (1 - (v - low) / (high - low)) * (height - 24);
    c.strokeStyle = style("blue");
    c.lineWidth = 1.6;
    c.beginPath();
    totals.forEach((v, i) => c.lineTo(x(i), y(v)));
    c.stroke();
    totals.forEach((v, i) => {
        if (totals.length < 60) c.fillRect(x(i) - 1.5, y(v) - 1.5, 3, 3);
    });
    c.fillText(`return of each episode, ${low.toFixed(0)} to ${high.toFixed(0)}`, 4, 12);
}

function drawAll() {
    drawSpikes();
    drawPopulation();
    drawStage();
    drawReturns();
    if (A.started && !$("agent").hidden) watch();
}
addEventListener("resize", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
