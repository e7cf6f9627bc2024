#!/usr/bin/env python3
"""A tour of vdi in Python: four models on data that this script makes up, and a picture of each.

    make lib
    python3 examples/python/tour.py pictures

Read it from top to bottom, like a notebook: each part begins with data whose answer is known, and
ends with a picture and a number beside what it should be. It needs NumPy; the pictures are drawn by
vdi. `--quick` is a look at each, not a result.
"""
import os
import sys

import numpy as np

import vdi

quick = "--quick" in sys.argv
folder = ([a for a in sys.argv[1:] if a != "--quick"] or ["pictures"])[0]
os.makedirs(folder, exist_ok=True)
rng = np.random.default_rng(1)
told = []


def tell(picture, text):
    print("%s: %s" % (picture, text))
    told.append((picture, text))


# ---- 1. Spikes from fluorescence -----------------------------------------------------------------
# A calcium indicator answers each spike with a jump that decays in 0.6 s. The network is told the
# frame rate and nothing else.

fps, frames = 30.0, 1800
spikes = rng.poisson(0.4 / fps * (1 + 4 * (np.sin(np.arange(frames) / 150) > 0.5)), (3, frames))
decay = np.exp(-np.arange(120) / (0.6 * fps))
traces = np.array([np.convolve(s, decay)[:frames] for s in spikes]) + 0.2 * rng.normal(
    size=(3, frames)
)
found = vdi.spikes(traces, fps)

figure = vdi.Figure("Spikes from fluorescence", rows=3, width=900, height=110)
for i in range(3):
    panel = figure.panel(i, x="time (s)" if i == 2 else None, y="cell %d" % (i + 1), dx=1 / fps)
    figure.line(panel, "fluorescence" if i == 0 else None, traces[i], color="GREY", width=0.8)
    figure.line(
        panel, "spikes expected per frame" if i == 0 else None, found.spikes[i] - 1.5, color="BLUE"
    )
    at = np.repeat(np.arange(frames), spikes[i]) / fps
    figure.scatter(
        panel,
        "true spikes" if i == 0 else None,
        at,
        np.full(len(at), -1.8),
        color="VERMILION",
        width=3,
    )
figure.save(os.path.join(folder, "spikes.svg"))
smooth = np.ones(9) / 9
agreement = np.mean(
    [
        np.corrcoef(np.convolve(a, smooth), np.convolve(b, smooth))[0, 1]
        for a, b in zip(spikes, found.spikes)
    ]
)
tell(
    "spikes.svg",
    "expected and true spikes, both over 0.3 s, correlate at %.2f; %.0f were found, %d were there"
    % (agreement, found.count.sum(), spikes.sum()),
)

# ---- 2. A hidden rotation, with a gap ------------------------------------------------------------
# Five noisy channels watch a slow rotation; for half a second nobody measures. LDS fills the gap
# in, and says how sure it is.

T, hidden = 300, np.arange(300) * 0.12
y = np.stack([np.sin(hidden + k) for k in range(5)], axis=1) + 0.4 * rng.normal(size=(T, 5))
y[140:170] = np.nan
model = vdi.LDS(d=2).fit(y, steps=20 if quick else 100)
posterior = model.smooth(y)
inferred = posterior.rate[0, :, 0]
sd = np.sqrt(np.einsum("d,tde,e->t", model.C[0], posterior.cov[0], model.C[0]))

figure = vdi.Figure("A hidden rotation, with a gap", width=900, height=200)
panel = figure.panel(x="bin", y="channel 1")
figure.line(panel, "truth", np.sin(hidden), color="VERMILION", dashed=True)
figure.line(panel, "inferred", inferred, color="BLUE", width=2)
figure.band(panel, "2 standard deviations", inferred - 2 * sd, inferred + 2 * sd)
figure.scatter(panel, "measured", np.arange(T), y[:, 0], color="GREY", width=2.5)
figure.save(os.path.join(folder, "gap.svg"))
error = np.sqrt(np.mean((inferred - np.sin(hidden))[140:170] ** 2))
angle = np.abs(np.angle(np.linalg.eigvals(model.A))).max()
tell(
    "gap.svg",
    "inside the gap the error is %.2f, where the noise is 0.4; "
    "the rotation is %.3f a bin (truth 0.12)" % (error, angle),
)

# ---- 3. Behind a population ----------------------------------------------------------------------
# Forty neurons with bell-shaped tuning over a plane in which a point wanders. Nobody is told the
# plane.

trials, bins, neurons = 40 if quick else 120, 50, 40
path = np.zeros((trials, bins, 2))
path[:, 0] = rng.normal(size=(trials, 2))
for t in range(1, bins):
    path[:, t] = 0.95 * path[:, t - 1] + 0.31 * rng.normal(size=(trials, 2))
centres = rng.uniform(-2, 2, (neurons, 2))
rate = 2.0 * np.exp(-((path[:, :, None] - centres) ** 2).sum(-1) / 2)
counts = rng.poisson(rate).astype(np.uint8)
options = (
    dict(steps=60, restarts=1, hidden=(20, 20))
    if quick
    else dict(steps=600, restarts=3, restart_steps=100)
)
flds = vdi.fLDS(d=2, **options).fit(counts)
latents = flds.infer(counts).mean.reshape(-1, 2)
design = np.column_stack([latents, np.ones(len(latents))])
mapped = (design @ np.linalg.lstsq(design, path.reshape(-1, 2), rcond=None)[0]).reshape(path.shape)
r2 = 1 - ((mapped - path) ** 2).sum() / ((path - path.mean((0, 1))) ** 2).sum()

figure = vdi.Figure(
    "Paths of a point, seen through the spikes of 40 neurons", cols=2, width=900, height=330
)
for col, (name, values) in enumerate(
    [("true", path), ("inferred, rotated onto the truth", mapped)]
):
    panel = figure.panel(0, col, title=name)
    for k in range(4):
        figure.line(
            panel,
            None,
            values[k, :, 1],
            x=values[k, :, 0],
            color=["BLUE", "VERMILION", "GREEN", "PURPLE"][k],
        )
figure.save(os.path.join(folder, "population.svg"))
tell("population.svg", "the latents explain %.2f of the variance of the true paths" % r2)

# ---- 4. An agent that can be questioned ----------------------------------------------------------
# A pendulum's reward has three parts: angle, speed, effort. The agent learns a value for each.

agent = vdi.Agent("pendulum", start=500, hidden=(64, 64)).train(1000 if quick else 6000)
returns = np.array([r for _, r in agent.returns])
angles = np.linspace(-np.pi, np.pi, 73)
answers = [agent.ask([np.cos(a), np.sin(a), 0]) for a in angles]

figure = vdi.Figure("A pendulum, learned by parts", rows=2, width=900, height=170)
panel = figure.panel(0, x="episode", y="return")
for k, name in enumerate(agent.components):
    figure.line(panel, name, returns[:, k], color=["BLUE", "VERMILION", "GREEN"][k])
panel = figure.panel(
    1, x="angle (rad, 0 is up)", y="share of influence", x0=-np.pi, dx=angles[1] - angles[0]
)
share = np.array([q.influence[:3] / q.influence[:3].sum() for q in answers])
for k, name in enumerate(agent.components):
    figure.line(panel, None, share[:, k], color=["BLUE", "VERMILION", "GREEN"][k])
figure.save(os.path.join(folder, "agent.svg"))
played = np.mean([agent.play(seed=7, episode=e)[0].sum() for e in range(3 if quick else 20)])
tell("agent.svg", "mean return %.0f (a random policy gets about -1,200, a good one -150)" % played)

with open(os.path.join(folder, "index.html"), "w") as page:
    page.write(
        "<!doctype html><meta charset=utf-8><title>A tour of vdi in Python</title>"
        "<style>body{font:16px/1.5 sans-serif;max-width:940px;margin:2em auto;padding:0 1em}"
        "img{max-width:100%}</style>"
        "<h1>A tour of vdi in Python</h1>"
    )
    for picture, text in told:
        page.write('<p><img src="%s" alt=""><br>%s.</p>' % (picture, text[0].upper() + text[1:]))
print("all of it: %s" % os.path.join(folder, "index.html"))
