// The site in headless Chromium: node site.mjs SITE [PICTURES]. No page is wider than its window at
// three widths; the search finds.
import { createRequire } from "node:module";
import { execSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { resolve, join } from "node:path";

const require = createRequire(`${process.env.NODE_PATH || "."}/x.js`);
const { chromium } = require("playwright-core");
const [site, pictures] = process.argv.slice(2);
// of these there are pictures
const SHOWN = [
    "index.html",
    "guide/spikes.html",
    "reference/index.html",
    "reference/model/lds/lds.html",
    "results/pretrained.html",
    "examples/lds.html",
];
const all = readdirSync(site, { recursive: true })
    .map(String)
    .filter((f) => f.endsWith(".html") && !f.startsWith("try/"))
    .sort();
const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || execSync("command -v chromium").toString().trim(),
    args: ["--no-sandbox"],
});
const page = await (await browser.newContext({ offline: true })).newPage(),
    wrong = [];
let passed = 0,
    failed = 0;
const ok = (name, good) => {
    if (good) passed++;
    else {
        failed++;
        console.log(`FAIL ${name}`);
    }
};
page.on("pageerror", (e) => wrong.push(e.message));
// a page that was left is none
page.on("requestfailed", (r) => {
    if (!/ABORTED/.test(r.failure().errorText)) wrong.push(r.url());
});
for (const width of [360, 800, 1280]) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme: width === 800 ? "dark" : "light" });
    for (const file of all) {
        await page.goto(`file://${resolve(site, file)}`, { waitUntil: "domcontentloaded" });
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        ok(`${file} at ${width} pixels is ${over} too wide`, over <= 0);
        if (pictures && SHOWN.includes(file))
            await page.screenshot({
                path: join(
                    pictures,
                    `${file.replace(/\//g, "-").replace(".html", "")}-${width}.png`,
                ),
            });
    }
}
await page.goto(`file://${resolve(site, "guide/start.html")}`);
for (const [typed, wanted] of [
    ["vdi_lds_smooth", /reference\/model\/lds\/smooth\.html#vdi_lds_smooth/],
    ["pretrained network", /pretrained|spikes/],
    ["zzqq", null],
]) {
    await page.keyboard.press("/");
    await page.fill("#search", typed);
    const first = await page.$eval("#found", (b) => b.querySelector("a")?.href || "");
    ok(`"${typed}" finds ${first}`, wanted ? wanted.test(first) : first === "");
}
await page.fill("#search", "vdi_lds_smooth");
await page.keyboard.press("Enter");
await page.waitForURL(/smooth\.html/);
ok(`errors: ${wrong}`, wrong.length === 0);
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
