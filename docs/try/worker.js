// Runs the library in a thread of its own. Messages: {id, call, ...}; the answer has the same id.
let lib, memory;

const text = (p) => {
    const bytes = new Uint8Array(memory.buffer, p);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
};
const check = (status) => {
    if (status < 0) throw new Error(text(lib.page_error()));
    return status;
};

// Arrays inside the module's memory, for the time of one call.
function borrow(work) {
    const taken = [];
    const take = (bytes) => {
        const p = lib.page_alloc(Math.max(bytes, 8));
        if (!p) throw new Error("out of memory");
        taken.push(p);
        return p;
    };
    const give = (kind, values) => {
        const p = take(values.length * kind.BYTES_PER_ELEMENT);
        new kind(memory.buffer, p, values.length).set(values);
        return p;
    };
    const read = (kind, p, n) => new kind(memory.buffer, p, n).slice();
    try {
        return work(take, give, read);
    } finally {
        taken.forEach((p) => lib.page_free(p));
    }
}
const word = (s) => new TextEncoder().encode((s || "") + "\0");

const calls = {
    async start({ module }) {
        // the library asks a system for nothing that these calls need
        const wasi = new Proxy({}, { get: () => () => 0 });
        const made = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: wasi });
        lib = (made.instance || made).exports;
        memory = lib.memory;
        if (lib._initialize) lib._initialize();
        return { version: text(lib.page_version()), simd: text(lib.page_simd()) };
    },

    array({ bytes, name }) {
        return borrow((take, give, read) => {
            const shape = take(48);
            const p = lib.page_array(
                give(Uint8Array, bytes),
                bytes.length,
                give(Uint8Array, word(name)),
                shape,
            );
            if (!p) throw new Error(text(lib.page_error()));
            const extents = [...read(BigInt64Array, shape, 6)].map(Number).filter((n) => n >= 0);
            const values = read(
                Float64Array,
                p,
                extents.reduce((a, b) => a * b, 1),
            );
            lib.page_free(p);
            return { shape: extents, values };
        });
    },

    spikes({ traces, frames, fps }) {
        const rows = traces.length / frames;
        const out = new Float32Array(rows * 3 * frames),
            numbers = new Float64Array(rows * 4);
        borrow((take, give, read) => {
            const p = take(4 * frames),
                results = take(12 * frames),
                n = take(32);
            for (let i = 0; i < rows; i++) {
                new Float32Array(memory.buffer, p, frames).set(
                    traces.subarray(i * frames, (i + 1) * frames),
                );
                check(lib.page_spikes(frames, p, fps, results, n));
                out.set(new Float32Array(memory.buffer, results, 3 * frames), i * 3 * frames);
                numbers.set(new Float64Array(memory.buffer, n, 4), i * 4);
            }
        });
        return { out, numbers };
    },

    latentsStart({ values, trials, bins, neurons, steps }) {
        borrow((take, give) =>
            check(lib.page_flds_start(give(Float64Array, values), trials, bins, neurons, 2, steps)),
        );
        this.size = { trials, bins };
        return {};
    },
    latentsStep({ count }) {
        const { trials, bins } = this.size,
            n = trials * bins;
        return borrow((take, give, read) => {
            const told = take(24),
                mean = take(16 * n),
                cov = take(32 * n);
            const over = check(lib.page_flds_step(count, told)) === 1;
            check(lib.page_flds_latents(mean, cov));
            const [step, steps, elbo] = read(Float64Array, told, 3);
            return { over, step, steps, elbo, mean: read(Float64Array, mean, 2 * n) };
        });
    },

    agentStart({ env, seed }) {
        borrow((take, give) => check(lib.page_agent_start(give(Uint8Array, word(env)), seed)));
        const [observations, actions, components] = [0, 1, 2].map((i) => lib.page_agent_sizes(i));
        const names = Array.from({ length: components }, (_, i) =>
            text(lib.page_agent_component(i)),
        );
        this.agent = { observations, actions, components };
        return { observations, actions, names };
    },
    agentTrain({ steps }) {
        const m = this.agent.components;
        return borrow((take, give, read) => {
            const p = take(8 * m * 64),
                ended = check(lib.page_agent_train(steps, p, 64));
            return { returns: read(Float64Array, p, ended * m) };
        });
    },
    agentWeights({ weights }) {
        borrow((take, give) => check(lib.page_agent_weights(give(Float64Array, weights))));
        return {};
    },
    agentPlay({ episode, steps, obs }) {
        // from the beginning, or on from `obs`
        const { observations: o, actions: a, components: m } = this.agent;
        return borrow((take, give, read) => {
            const at = obs ? give(Float32Array, obs) : take(4 * o);
            const action = take(4 * a),
                reward = take(4 * m),
                value = take(8 * (m + 1)),
                influence = take(8 * (m + 1));
            if (!obs) check(lib.page_agent_begin(episode, at));
            const seen = [];
            for (let i = 0, end = 0; i < steps && !end; i++) {
                const before = read(Float32Array, at, o);
                end = check(lib.page_agent_move(at, action, reward, value, influence));
                seen.push({
                    obs: before,
                    action: read(Float32Array, action, a),
                    reward: read(Float32Array, reward, m),
                    value: read(Float64Array, value, m + 1),
                    influence: read(Float64Array, influence, m + 1),
                    end,
                });
            }
            return { seen, obs: read(Float32Array, at, o) };
        });
    },
};

onmessage = async ({ data }) => {
    try {
        postMessage({ id: data.id, answer: await calls[data.call](data) });
    } catch (error) {
        postMessage({ id: data.id, error: String(error.message || error) });
    }
};
