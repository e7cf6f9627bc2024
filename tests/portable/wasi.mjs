// Runs a program for WebAssembly's system interface: node wasi.mjs PROGRAM ARGS...
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const wasi = new WASI({
    version: "preview1",
    args: process.argv.slice(2),
    env: process.env,
    preopens: { "/": "/", ".": "." },
    returnOnExit: true,
});
const module = await WebAssembly.compile(await readFile(process.argv[2]));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exitCode = wasi.start(instance);
