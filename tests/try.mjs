// The browser page in headless Chromium against the native library: node try.mjs PAGE.html FOLDER
// [--pictures FOLDER] FOLDER has the data and numbers of try.py. Needs playwright-core (found
// through NODE_PATH) and Chromium (CHROMIUM, or on the PATH).
import { createRequire } from "node:module";
import { readFileSync, existsSync } from "node:fs";
import { execSync } from "node:child_process";
import { resolve } from "node:path";

const require = createRequire(`${process.env.NODE_PATH || "."}/x.js`);
const { chromium } = require("playwright-core");
const [page_file, folder] = process.argv.slice(2),
    pictures = process.argv[4] === "--pictures" && process.argv[5];
const native = JSON.parse(readFileSync(`${folder}/native.json`)),
    notes = [];
let passed = 0,
    failed = 0;
const ok = (name, good) => {
    if (good) passed++;
    else {
        failed++;
        console.log(`FAIL ${name}`);
    }
};

const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || execSync("command -v chromium").toString().trim(),
    args: ["--no-sandbox"],
});
const context = await browser.newContext({
    viewport: { width: 1100, height: 900 },
    acceptDownloads: true,
    offline: true,
});
const page = await context.newPage(),
    asked = [],
    wrong = [];
page.on("request", (r) => {
    if (!/^(file|blob|data):/.test(r.url())) asked.push(r.url());
});
page.on("pageerror", (e) => wrong.push(e.message));
page.on("console", (m) => {
    if (m.type() === "error") wrong.push(m.text());
});
await page.goto(`file://${resolve(page_file)}`);
await page.waitForSelector("body[data-ready=yes]", { timeout: 120000 });
const said = (id) => page.textContent(`#${id}`);
const picture = async (name) => {
    if (pictures) await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
};
const tells = (id, pattern, timeout = 300000) =>
    page.waitForFunction(
        ([i, p]) => new RegExp(p).test(document.getElementById(i).textContent),
        [id, pattern.source],
        { timeout },
    );
notes.push(await said("version"));
ok("simd128 is in use", /simd128/.test(await said("version")));

// spikes, from each format
for (const file of ["traces.npy", "traces.csv", "traces.mat"]) {
    if (!existsSync(`${folder}/${file}`)) continue;
    await page.evaluate(() => {
        document.getElementById("spikes-told").textContent = "";
    });
    await page.setInputFiles("#spikes-file", `${folder}/${file}`);
    await tells("spikes-told", /spikes\./);
    ok(
        `${file}: ${await said("spikes-told")}`,
        /^3 neurons, 900 frames \(30\.0 s\)/.test(await said("spikes-told")),
    );
    const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.click("#spikes-save"),
    ]);
    const rows = readFileSync(await download.path(), "utf8")
        .trim()
        .split("\n")
        .slice(1)
        .map((r) => r.split(",").map(Number));
    let worst = 0;
    rows.forEach((r, f) =>
        r.forEach((v, i) => {
            worst = Math.max(worst, Math.abs(v - native.spikes[i][f]));
        }),
    );
    ok(
        `${file}: spikes differ from the native ones by ${worst}`,
        rows.length === 900 && worst < 2e-4,
    );
}
await page.setInputFiles("#spikes-file", {
    name: "no.npy",
    mimeType: "",
    buffer: Buffer.from("nothing of use"),
});
await tells("spikes-told", /./);
await page.waitForSelector("#spikes-told.bad");
ok(`a file that is none: ${await said("spikes-told")}`, (await said("spikes-told")).length > 10);
await page.click("#spikes-example");
await tells("spikes-told", /^20 neurons.*spikes\./);
await page.focus("#raster");
await page.keyboard.press("ArrowDown");
ok("an arrow key chooses the next neuron", /^2 of 20/.test(await said("neuron-told")));
await picture("spikes");
const big = Buffer.concat([
    npyHead("<f4", [100, 10000]),
    Buffer.from(Float32Array.from({ length: 1e6 }, (_, i) => Math.sin(i * i)).buffer),
]);
await page.setInputFiles("#spikes-file", { name: "big.npy", mimeType: "", buffer: big });
await tells("spikes-told", /^100 neurons, 10000 frames.*spikes\./);
const took = +(await said("spikes-told")).match(/in ([0-9.]+) s/)[1],
    first = await page.evaluate(() => +document.getElementById("spikes-plots").dataset.first);
ok(`the first of 100 neurons is shown after ${first} s of ${took}`, first > 0 && first < took / 2);
notes.push(`100 x 10000: ${took} s, the first ones after ${first.toFixed(2)} s`);
function npyHead(dtype, shape) {
    const text =
        `{'descr': '${dtype}', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`.padEnd(
            117,
        ) + "\n";
    return Buffer.concat([
        Buffer.from([0x93, 78, 85, 77, 80, 89, 1, 0, text.length, 0]),
        Buffer.from(text),
    ]);
}

// a population
await page.focus("#tab-spikes");
await page.keyboard.press("ArrowRight");
ok("an arrow key goes to the next tab", await page.isVisible("#population"));
await page.setInputFiles("#population-file", `${folder}/counts.npy`);
await tells("population-told", /20 trials, 30 bins, 12 neurons/);
await page.fill("#steps", "60");
await page.click("#learn");
await tells("population-told", /^Done/);
const bound = await page.evaluate(() => P.bound);
const [step, elbo] = bound[0];
ok(
    `after ${step} steps the bound is ${elbo}, natively ${native.elbo[step - 1]}`,
    Math.abs(elbo - native.elbo[step - 1]) < 2e-3,
);
await page.click("#population-example");
await page.fill("#steps", "400");
await page.click("#learn");
await tells("population-told", /^Done/);
await picture("population");

// an agent
await page.keyboard.press("Escape");
await page.click("#tab-agent");
await page.click("#train");
await page.waitForFunction(() => A.returns.length >= 2, null, { timeout: 300000 });
const returns = await page.evaluate(() => A.returns);
native.returns.forEach((r, e) =>
    ok(
        `episode ${e} returns ${returns[e]}, natively ${r}`,
        r.every((v, i) => Math.abs(v - returns[e][i]) < 1e-3 * Math.abs(v) + 1e-4),
    ),
);
await page.waitForFunction(() => A.steps >= 4000, null, { timeout: 600000 });
await page.waitForFunction(() => A.rows[0].influence.style.width !== "", null, { timeout: 60000 });
await page.fill("#weight-1", "0");
await page.waitForFunction(() => parseFloat(A.rows[1].influence.style.width) === 0, null, {
    timeout: 60000,
});
ok("a weight of 0 has no influence", true);
await page.fill("#weight-1", "1");
await picture("agent");
notes.push(await said("agent-told"));
await page.click("#train");
await page.selectOption("#task", "lander");
await page.click("#train");
await page.waitForFunction(() => A.started === "lander" && A.steps >= 600 && A.seen, null, {
    timeout: 300000,
});
ok(
    "the lander has nine components and the entropy",
    (await page.$$("#components input")).length === 10,
);
await picture("lander");
await page.click("#train");

// a phone, and the dark
for (const [width, scheme] of [
    [360, "light"],
    [390, "dark"],
    [820, "light"],
]) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme: scheme });
    for (const tab of ["spikes", "population", "agent"]) {
        await page.click(`#tab-${tab}`);
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        ok(`${tab} at ${width} pixels is ${over} too wide`, over <= 0);
        await page.waitForTimeout(150);
        await picture(`${tab}-${width}-${scheme}`);
    }
}
ok(`asked the network for ${asked}`, asked.length === 0);
ok(`errors: ${wrong}`, wrong.length === 0);
await browser.close();
notes.forEach((n) => console.log(`note: ${n}`));
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
