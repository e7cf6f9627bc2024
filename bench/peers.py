#!/usr/bin/env python3
"""bench/peers.py - the peers that live in Python, measured on request by a bench program.

    peers.py QUESTION       QUESTION: tape, nets, vilds or lds

Says "ready VERSIONS" (or why not), then answers each line "CASE SECONDS" of its input with the CPU
seconds that one call of the case takes: the second smallest of as many samples as fit in SECONDS.
One thread; CPU time of the process. Debian: python3-torch, python3-numpy, python3-statsmodels.
"""
import sys
import time

cases = {}


def case(f):
    cases[f.__name__] = f
    return f


def load_torch():
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    relu = nn.ReLU

    @case
    def ops8():
        """1000 ops on 8 elements and their backward pass."""
        x = torch.full((8,), 1.0, requires_grad=True)
        c = torch.full((8,), 1e-6)

        def step():
            v = x
            for _ in range(500):
                v = v * x + c
            v.sum().backward()
            x.grad = None

        return step

    @case
    def ops8_forward():
        x = torch.full((8,), 1.0)
        c = torch.full((8,), 1e-6)

        def step():
            with torch.no_grad():
                v = x
                for _ in range(500):
                    v = v * x + c

        return step

    @case
    def gru():
        """GRU, batch 1, hidden 64, from 32 inputs: 1000 steps."""
        net = nn.GRU(32, 64, batch_first=True)
        x = torch.randn(1, 1000, 32)

        def step():
            with torch.no_grad():
                net(x)

        return step

    @case
    def gru_cell():
        """One step of the same GRU: what a real-time user calls."""
        net = nn.GRUCell(32, 64)
        x, h = torch.randn(1, 32), torch.zeros(1, 64)

        def step():
            with torch.no_grad():
                net(x, h)

        return step

    @case
    def policy():
        net = nn.Sequential(
            nn.Linear(24, 256), relu(), nn.Linear(256, 256), relu(), nn.Linear(256, 4)
        )
        x = torch.randn(1, 24)

        def step():
            with torch.no_grad():
                net(x)

        return step

    @case
    def critic():
        """One step of a critic 28-256-256-1, batch 256: forward, backward, Adam."""
        net = nn.Sequential(
            nn.Linear(28, 256), relu(), nn.Linear(256, 256), relu(), nn.Linear(256, 1)
        )
        adam = torch.optim.Adam(net.parameters(), lr=1e-3)
        x, y = torch.randn(256, 28), torch.randn(256, 1)

        def step():
            loss = F.mse_loss(net(x), y)
            adam.zero_grad()
            loss.backward()
            adam.step()

        return step

    def convolution_stack():
        return nn.Sequential(
            nn.Conv1d(1, 32, 31, padding=15),
            relu(),
            nn.Conv1d(32, 32, 31, padding=15),
            relu(),
            nn.Conv1d(32, 32, 31, padding=15),
            relu(),
        )

    @case
    def convolutions():
        conv, x = convolution_stack(), torch.randn(1, 1, 1000)

        def step():
            with torch.no_grad():
                conv(x)

        return step

    @case
    def spike_net():
        """Three convolutions of width 31 and 32 channels, a GRU of 64, one output: 1000 samples of
        one cell."""
        conv = convolution_stack()
        gru, out = nn.GRU(32, 64, batch_first=True), nn.Linear(64, 1)
        x = torch.randn(1, 1, 1000)

        def step():
            with torch.no_grad():
                h, _ = gru(conv(x).transpose(1, 2))
                torch.sigmoid(out(h))

        return step

    @case
    def elbo(T=100, d=4, N=100, B=10, H=60):
        """One step of the variational model of vilds.c: B trials, the solver as a loop over bins,
        batched over trials."""
        tri = torch.linalg.solve_triangular
        body = nn.Sequential(nn.Linear(N, H), nn.Tanh(), nn.Linear(H, H), nn.Tanh())
        heads = nn.ModuleList([nn.Linear(H, d), nn.Linear(H, d * d)])
        decoder = nn.Sequential(
            nn.Linear(d, H), nn.Tanh(), nn.Linear(H, H), nn.Tanh(), nn.Linear(H, N)
        )
        A, root, root0 = (nn.Parameter(s * torch.eye(d)) for s in (0.9, 1.0, 1.0))
        adam = torch.optim.Adam(
            [*body.parameters(), *heads.parameters(), *decoder.parameters(), A, root, root0],
            lr=1e-3,
        )
        y, eye = torch.poisson(torch.full((B, T, N), 0.3)), torch.eye(d)

        def step():
            Qi, Q0i = root @ root.T + 1e-3 * eye, root0 @ root0.T + 1e-3 * eye
            hidden = body(y)
            R = heads[1](hidden).view(B, T, d, d)
            factor = R @ R.transpose(-1, -2) + 1e-3 * eye
            h = factor @ heads[0](hidden).unsqueeze(-1)
            H1, below = A.T @ Qi @ A, -(Qi @ A)
            L, M, u, log_det = [], [], [], 0.0
            for t in range(T):
                D = factor[:, t] + (Q0i if t == 0 else Qi) + (H1 if t + 1 < T else 0)
                if t:
                    D = D - M[-1] @ M[-1].transpose(-1, -2)
                L.append(torch.linalg.cholesky(D))
                log_det = log_det + 2 * torch.diagonal(L[-1], dim1=-2, dim2=-1).log().sum()
                if t + 1 < T:
                    M.append(tri(L[-1], below.T.expand(B, d, d), upper=False).transpose(-1, -2))
                r = h[:, t] - M[t - 1] @ u[-1] if t else h[:, t]
                u.append(tri(L[t], r, upper=False))
            noise, z, last = torch.randn(B, T, d, 1), [None] * T, None
            for t in reversed(range(T)):
                r = u[t] + noise[:, t]
                if last is not None:
                    r = r - M[t].transpose(-1, -2) @ last
                z[t] = last = tri(L[t].transpose(-1, -2), r, upper=True)
            x = torch.stack(z, 1).squeeze(-1)
            eta = decoder(x)
            e = x[:, 1:] - x[:, :-1] @ A.T
            prior = 0.5 * B * ((T - 1) * torch.logdet(Qi) + torch.logdet(Q0i))
            prior = prior - 0.5 * ((e @ Qi) * e).sum() - 0.5 * ((x[:, 0] @ Q0i) * x[:, 0]).sum()
            loss = -((y * eta - eta.exp()).sum() + prior - 0.5 * log_det) / B
            adam.zero_grad()
            loss.backward()
            adam.step()

        return step

    return "torch " + torch.__version__


def load_statsmodels():
    import numpy as np
    import statsmodels
    from statsmodels.tsa.statespace.kalman_smoother import (
        SMOOTHER_STATE,
        SMOOTHER_STATE_COV,
        KalmanSmoother,
    )

    def smoother(output):
        """T = 1000, d = 4, N = 10: the model of lds.c."""
        rng = np.random.default_rng(0)
        T, d, N = 1000, 4, 10
        A = np.zeros((d, d))
        for i in range(0, d, 2):
            a, r = 0.1 + 0.05 * i, 0.98
            A[i : i + 2, i : i + 2] = r * np.array(
                [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
            )
        C, Q, R = rng.standard_normal((N, d)), 0.1 * np.eye(d), 0.5 * np.eye(N)
        z, y = np.zeros(d), np.empty((T, N))
        for t in range(T):
            z = A @ z + np.sqrt(0.1) * rng.standard_normal(d)
            y[t] = C @ z + np.sqrt(0.5) * rng.standard_normal(N)
        ks = KalmanSmoother(k_endog=N, k_states=d, k_posdef=d)
        ks.bind(y)
        ks["design"], ks["obs_cov"], ks["transition"], ks["selection"], ks["state_cov"] = (
            C,
            R,
            A,
            np.eye(d),
            Q,
        )
        ks.initialize_known(np.zeros(d), np.eye(d))
        if output == "state":
            ks.smoother_output = SMOOTHER_STATE | SMOOTHER_STATE_COV
        return lambda: ks.smooth()

    cases["smooth"] = lambda: smoother("state")
    cases["smooth_all"] = lambda: smoother("all")
    return "statsmodels " + statsmodels.__version__


def main():
    try:
        print("ready " + (load_statsmodels() if sys.argv[1] == "lds" else load_torch()), flush=True)
    except ImportError as e:
        print("it lacks a module:", e, flush=True)
        return
    made = {}
    clock = time.process_time

    def sample(f, inner):
        t = clock()
        for _ in range(inner):
            f()
        return (clock() - t) / inner

    for line in sys.stdin:
        name, budget = line.split()
        if name not in made:
            f, inner = cases[name](), 1
            for _ in range(3):
                f()
            while sample(f, inner) * inner < 3e-4:
                inner *= 2
            made[name] = f, inner
        f, inner = made[name]
        times = []
        while len(times) < 3 or sum(times) * inner < float(budget):
            times.append(sample(f, inner))
        print("%.9g" % sorted(times)[1], flush=True)


main()
