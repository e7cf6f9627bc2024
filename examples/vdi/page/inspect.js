// The page of an agent: an episode to scrub through, and sliders for the weights.
"use strict";

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const count = data.heads.length;
const state = { episode: 0, step: 0, weights: data.weights.slice(), timer: 0 };

const episodeNow = () => data.episodes[state.episode];

function drawCharts() {
    const episode = episodeNow();
    const times = (row) => row.map((v, i) => state.weights[i] * v);
    chart(
        byId("values"),
        "Values by component, weighted and stacked; dashed: the return that then came, of all",
        data.heads,
        episode.value.map(times),
        episode.returns.map((row) => times(row).reduce((sum, v) => sum + v, 0)),
        280,
    );
    chart(
        byId("influence"),
        "Influence on the action, share of each component, smoothed",
        data.heads,
        episode.influence.map((row) => shares(row, data.weights, state.weights)),
        null,
        200,
    );
    showComponent(episode);
    showSeries(episode);
    for (const id of charts) byId(id).chosen = goTo;
    markStep();
}

const charts = ["values", "influence", "component-chart", "series-chart"];

function goTo(step) {
    const last = episodeNow().value.length - 1;
    state.step = Math.min(Math.max(step, 0), last);
    byId("time").value = state.step;
    show();
}

function markStep() {
    for (const id of charts) {
        const x = byId(id).x(state.step);
        byId(id).now.setAttribute("x1", x);
        byId(id).now.setAttribute("x2", x);
    }
}

// What the weights would choose at the step that is shown, and why.
function showVerdict(episode, known, best, gains) {
    const at = known * episode.stride;
    const why = reasons(gains).map((i) => data.heads[i]);
    const own = candidateParts(episode, known, 0, state.weights);
    const chosen = element("output", { id: "action" }, actionText(episode.action[known][best.at]));
    chosen.dataset.action = JSON.stringify(episode.action[known][best.at].map(Math.fround));
    chosen.dataset.value = best.value;
    chosen.dataset.step = at;
    let end = "It is the action that the policy prefers.";
    if (best.at !== 0) {
        end = `The policy's own would be worth ${format(weighted(own, state.weights))}`;
        end += why.length ? `; the difference is made by ${why.join(", ")}.` : ".";
    }
    const every = `known every ${episode.stride} steps; here step ${at}`;
    const sparse = episode.stride > 1 ? ` (${every})` : "";
    byId("verdict").replaceChildren(
        `Taken: ${actionText(episode.action_taken[state.step])}. ` +
            `Under the weights set here the best of ${episode.action[known].length} ` +
            `candidates${sparse} is `,
        chosen,
        `, worth ${format(best.value)}. ${end}`,
    );
}

function show() {
    const episode = episodeNow();
    const { step, weights } = state;
    const known = Math.floor(step / episode.stride);
    const best = bestCandidate(episode, known, weights);
    const own = candidateParts(episode, known, 0, weights);
    const top = candidateParts(episode, known, best.at, weights);
    const gains = top.map((q, i) => weights[i] * (Math.fround(q) - Math.fround(own[i])));
    const share = shares(episode.influence[step], data.weights, weights);
    byId("where").textContent = `step ${step} of ${episode.value.length - 1}`;
    byId("scene").replaceChildren(
        drawEnvironment(data.env, episode.obs[step], episode.action_taken[step], data.observations),
    );
    for (let i = 0; i < count; i++) {
        byId(`q${i}`).textContent = format(weights[i] * episode.value[step][i]);
        byId(`g${i}`).textContent = format(weights[i] * episode.returns[step][i]);
        byId(`s${i}`).textContent = format(share[i]);
        byId(`d${i}`).textContent = format(gains[i]);
    }
    showVerdict(episode, known, best, gains);
    showPair(episode, known, weights);
    showAxes(episode, step, weights);
    markStep();
}

// ---- controls ------------------------------------------------------------------------------

function componentRow(name, i) {
    const own = data.weights[i];
    const slider = element("input", {
        type: "range",
        id: `w${i}`,
        min: Math.min(0, 2 * own),
        max: Math.max(3, 2 * own),
        step: "any",
        "aria-label": `weight of ${name}`,
    });
    const shown = element("output", { id: `v${i}` }, format(own));
    slider.value = own;
    slider.oninput = () => {
        state.weights[i] = Number(slider.value);
        shown.textContent = format(state.weights[i]);
        drawCharts();
        show();
    };
    const key = element("i", { class: "key", style: `background:${color(i)}` });
    return element(
        "tr",
        {},
        element("td", {}, key, element("span", { id: `h${i}` }, name)),
        element("td", {}, slider),
        element("td", {}, shown),
        ...["q", "g", "s", "d"].map((column) => element("td", { id: column + i })),
    );
}

function makeTable() {
    const head = ["component", "weight", "", "value", "return", "influence", "gain"];
    byId("parts").replaceChildren(
        element("tr", {}, ...head.map((name) => element("th", {}, name))),
        ...data.heads.map(componentRow),
    );
}

function openEpisode(index) {
    state.episode = index;
    state.step = 0;
    byId("time").max = episodeNow().value.length - 1;
    byId("time").value = 0;
    drawCharts();
    show();
}

function turn(control, value) {
    control.value = value;
    control.dispatchEvent(new Event("input"));
    control.dispatchEvent(new Event("change"));
}

function playOrPause() {
    if (state.timer) {
        clearInterval(state.timer);
        state.timer = 0;
        byId("play").textContent = "play";
        return;
    }
    byId("play").textContent = "pause";
    state.timer = setInterval(() => {
        state.step = (state.step + 1) % episodeNow().value.length;
        byId("time").value = state.step;
        show();
    }, 40);
}

data.episodes.forEach((episode, k) => {
    const option = element("option", {}, `episode ${k}: return ${format(episode.total)}`);
    option.value = k;
    byId("episode").append(option);
});
data.heads.forEach((name, i) => {
    const option = element("option", {}, name);
    option.value = i;
    byId("component").append(option);
});
byId("component").value = 0;
makeTable();
drawCurves();
byId("component").onchange = () => {
    showComponent(episodeNow());
    byId("component-chart").chosen = goTo;
    markStep();
};
byId("what").onchange = () => {
    showSeries(episodeNow());
    byId("series-chart").chosen = goTo;
    markStep();
};
for (const id of ["first", "second"]) byId(id).onchange = () => show();
document.onkeydown = (event) => {
    const by = event.shiftKey ? 10 : 1;
    if (["INPUT", "SELECT", "BUTTON"].includes(event.target.tagName)) return;
    if (event.key === " ") playOrPause();
    else if (event.key === "ArrowRight") goTo(state.step + by);
    else if (event.key === "ArrowLeft") goTo(state.step - by);
    else return;
    event.preventDefault();
};
byId("episode").onchange = () => openEpisode(Number(byId("episode").value));
byId("time").oninput = () => {
    state.step = Number(byId("time").value);
    show();
};
byId("play").onclick = playOrPause;
byId("reset").onclick = () => data.weights.forEach((own, i) => turn(byId(`w${i}`), own));
openEpisode(0);

// The address's fragment sets the page as a reader's hand would: #e=0&t=40&w=1,0.5,1
const fragment = new URLSearchParams(location.hash.slice(1));
if (fragment.has("e")) turn(byId("episode"), fragment.get("e"));
if (fragment.has("t")) turn(byId("time"), fragment.get("t"));
if (fragment.has("w")) {
    const wanted = fragment.get("w").split(",").slice(0, count);
    wanted.forEach((value, i) => turn(byId(`w${i}`), value));
}
