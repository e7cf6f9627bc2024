// Runs a program for WebAssembly's system interface: node wasi.mjs PROGRAM ARGS...
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

// The only folder that the program may see: the one for scratch files.
const folder = process.env.TMPDIR ?? "/tmp";
const wasi = new WASI({
    version: "preview1",
    args: process.argv.slice(2),
    env: process.env,
    preopens: { [folder]: folder },
    returnOnExit: true,
});
const module = await WebAssembly.compile(await readFile(process.argv[2]));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exitCode = wasi.start(instance);
