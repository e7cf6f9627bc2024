"""Data for the browser page's test, and what the native library says of them: try.py FOLDER (the
page is tried by try.mjs)."""
import json
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../examples/python"))
import vdi  # noqa: E402

folder = sys.argv[1]
rng = np.random.default_rng(4)
spikes = rng.random((3, 900)) < 0.02
traces = np.array(
    [np.convolve(s, np.exp(-np.arange(90) / 15))[:900] for s in spikes]
) + 0.15 * rng.normal(size=spikes.shape)
traces[1, 300:310] = np.nan
np.save(os.path.join(folder, "traces.npy"), traces)
np.savetxt(os.path.join(folder, "traces.csv"), traces.T, delimiter=",", header="a,b,c", comments="")
try:
    import scipy.io

    scipy.io.savemat(os.path.join(folder, "traces.mat"), {"F": traces}, do_compression=True)
except ImportError:
    pass
found = vdi.spikes(traces.astype(np.float32), 30)

path = np.zeros((20, 30, 2))
for t in range(1, 30):
    path[:, t] = 0.9 * path[:, t - 1] + 0.4 * rng.normal(size=(20, 2))
centres = rng.uniform(-1, 1, (12, 2))
counts = rng.poisson(2 * np.exp(-((path[:, :, None] - centres) ** 2).sum(-1))).astype(np.uint8)
np.save(os.path.join(folder, "counts.npy"), counts)
told = []
vdi.fLDS(d=2, steps=60, restarts=3, restart_steps=8).fit(
    counts, progress=lambda p: told.append(p.elbo)
)

agent = vdi.Agent("pendulum", hidden=(64, 64), batch=128, start=500, capacity=50000, seed=1).train(
    400
)

json.dump(
    {
        "spikes": found.spikes.tolist(),
        "counts": found.count.tolist(),
        "elbo": told,
        "returns": [r.tolist() for _, r in agent.returns],
    },
    open(os.path.join(folder, "native.json"), "w"),
)
