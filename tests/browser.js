// A page of `vdi sacd inspect` in a real browser: node browser.js PAGE.html CALL.json WEIGHTS At
// each state of CALL.json, which the tool has written, the page has to show the candidate that the
// library's own what-if has found: its value and its action. Then the keyboard, a pointer over a
// chart, and the width of a telephone. Needs playwright-core and chromium.
"use strict";

const fs = require("fs");
const path = require("path");
const { chromium } = require("playwright-core");

const [, , file, called, weights] = process.argv;
const call = JSON.parse(fs.readFileSync(called, "utf8"));
const must = (ok, why) => {
    if (!ok) throw new Error(why);
};

async function states(page, url) {
    for (const wanted of call.what_ifs) {
        await page.goto("about:blank");
        await page.goto(`${url}#e=${wanted.episode}&t=${wanted.step}&w=${weights}`);
        const shown = await page.$eval("#action", (node) => ({ ...node.dataset }));
        const where = `episode ${wanted.episode}, step ${wanted.step}`;
        must(Number(shown.value) === wanted.value, `${where}: ${shown.value}, not ${wanted.value}`);
        must(Number(shown.step) === wanted.step, `${where}: step ${shown.step}`);
        const action = JSON.parse(shown.action);
        const same = action.every((x, i) => Math.abs(x - wanted.action[i]) < 1e-6);
        must(same, `${where}: the action ${action}, not ${wanted.action}`);
    }
}

async function hands(page) {
    const where = () => page.$eval("#where", (node) => node.textContent);
    await page.evaluate(() => document.activeElement.blur());
    const before = Number((await where()).split(" ")[1]);
    await page.keyboard.press("ArrowRight");
    must(Number((await where()).split(" ")[1]) === before + 1, "an arrow key is a step");
    await page.keyboard.press("Shift+ArrowRight");
    must(Number((await where()).split(" ")[1]) === before + 11, "with shift it is ten");
    await page.hover("#values svg", { position: { x: 200, y: 60 } });
    const told = await page.$eval("#values .hover", (node) => node.textContent);
    must(/^step \d+: .*\d/.test(told), `a pointer tells nothing: ${told}`);
    await page.selectOption("#what", "reward");
    await page.selectOption("#component", "1");
    await page.selectOption("#second", "2");
    must((await page.$eval("#reasons", (n) => n.textContent)).includes("worth"), "no reasons");
}

async function main() {
    const browser = await chromium.launch({
        executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-gpu", "--disable-quic"],
    });
    const page = await browser.newPage({ viewport: { width: 1000, height: 900 } });
    const wrong = [];
    page.on("pageerror", (error) => wrong.push(error.message));
    const url = `file://${path.resolve(file)}`;
    await states(page, url);
    await page.goto("about:blank");
    await page.goto(`${url}#e=0&t=20`);
    await hands(page);
    await page.setViewportSize({ width: 390, height: 800 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    must(wide <= 390, `at 390 px the page is ${wide} px wide`);
    if (process.env.PICTURE) await page.screenshot({ path: process.env.PICTURE, fullPage: true });
    must(!wrong.length, wrong.join("; "));
    await browser.close();
    console.log(`browser: ${call.what_ifs.length} states agree`);
}

main().catch((error) => {
    console.error(error.message);
    process.exit(1);
});
