"""The Python binding against NumPy's own algebra: python3 tests/binding.py (with VDI_LIBRARY or
build/lib)."""
import gc
import os
import sys
import tempfile
import unittest
import weakref

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../examples/python"))
import vdi  # noqa: E402


def rotation(trials=3, bins=60, channels=5, seed=0):
    rng = np.random.default_rng(seed)
    turn = 0.97 * np.array([[np.cos(0.2), np.sin(0.2)], [-np.sin(0.2), np.cos(0.2)]])
    z = np.zeros((trials, bins, 2))
    z[:, 0] = rng.normal(size=(trials, 2))
    for t in range(1, bins):
        z[:, t] = z[:, t - 1] @ turn.T + 0.3 * rng.normal(size=(trials, 2))
    return z, rng


def dense(model, y):
    """log p(y) and E z of one trial without missing values, by the joint Gaussian of everything."""
    bins, d = len(y), model.d
    cov = np.zeros((bins, bins, d, d))
    cov[0, 0], mean = model.Q0, [model.x0]
    for t in range(1, bins):
        mean.append(model.A @ mean[-1])
        for s in range(t):
            cov[t, s] = model.A @ cov[t - 1, s]
            cov[s, t] = cov[t, s].T
        cov[t, t] = model.A @ cov[t - 1, t - 1] @ model.A.T + model.Q
    prior = cov.transpose(0, 2, 1, 3).reshape(bins * d, bins * d)
    read = np.kron(np.eye(bins), model.C)
    total = read @ prior @ read.T + np.kron(np.eye(bins), model.R)
    off = (y - np.array(mean) @ model.C.T - model.b).ravel()
    ll = -0.5 * (
        off @ np.linalg.solve(total, off)
        + np.linalg.slogdet(total)[1]
        + off.size * np.log(2 * np.pi)
    )
    return ll, np.array(mean) + (prior @ read.T @ np.linalg.solve(total, off)).reshape(bins, d)


class Spikes(unittest.TestCase):
    def setUp(self):
        rng = np.random.default_rng(0)
        self.truth = rng.random((3, 1200)) < 0.013
        self.traces = np.array(
            [np.convolve(s, np.exp(-np.arange(90) / 18))[:1200] for s in self.truth]
        )
        self.traces += 0.1 * rng.normal(size=self.traces.shape)

    def test_finds_them(self):
        found = vdi.spikes(self.traces, 30)
        smooth = np.ones(9)
        for a, b in zip(self.truth, found.spikes):
            self.assertGreater(
                np.corrcoef(np.convolve(a, smooth), np.convolve(b, smooth))[0, 1], 0.85
            )
        np.testing.assert_allclose(found.count, found.spikes.sum(1), rtol=1e-6)

    def test_shapes_types_threads(self):
        one = vdi.spikes(self.traces[1], 30)
        all_of_them = vdi.spikes(self.traces, 30, threads=2)
        self.assertEqual(one.spikes.shape, (1200,))
        np.testing.assert_array_equal(one.spikes, all_of_them.spikes[1])
        self.assertEqual(vdi.spikes(self.traces.astype(np.float32), 30).spikes.dtype, np.float32)
        np.testing.assert_array_equal(
            vdi.spikes(self.traces[:, ::2], 15).spikes,
            vdi.spikes(self.traces[:, ::2].copy(), 15).spikes,
        )

    def test_errors(self):
        for traces, fps in [
            (self.traces[:, :0], 30),
            (self.traces, 0),
            (self.traces, float("nan")),
            (np.full(100, np.nan), 30),
            (self.traces[None], 30),
            (np.array(["a"]), 30),
        ]:
            with self.assertRaises(vdi.Error):
                vdi.spikes(traces, fps)


class Lds(unittest.TestCase):
    def test_against_dense_algebra(self):
        z, rng = rotation()
        y = z @ rng.normal(size=(2, 5)) + 0.4 * rng.normal(size=(3, 60, 5))
        model = vdi.LDS(d=2).fit(y, steps=15)
        self.assertTrue((np.diff(model.trace) > -1e-9).all())
        got = model.smooth(y)
        for i in range(3):
            ll, mean = dense(model, y[i])
            self.assertAlmostEqual(got.log_likelihood[i], ll, delta=1e-8 * abs(ll))
            np.testing.assert_allclose(got.mean[i], mean, atol=1e-9)
        self.assertAlmostEqual(model.trace[-1], got.log_likelihood.sum(), places=7)
        self.assertAlmostEqual(model.score(y), got.log_likelihood.sum() / 180, places=10)

    def test_strides_types_missing(self):
        z, rng = rotation(1)
        y = (z @ rng.normal(size=(2, 4)))[0].astype(np.float32)
        y[20:25] = np.nan
        backwards = np.ascontiguousarray(y[::-1].T)
        a, b = vdi.LDS(d=2).fit(y, steps=5), vdi.LDS(d=2).fit(backwards.T[::-1], steps=5)
        np.testing.assert_array_equal(a.trace, b.trace)
        self.assertTrue(np.isfinite(a.smooth(y).mean).all())

    def test_parameters_are_the_models_own(self):
        z, rng = rotation()
        y = z @ rng.normal(size=(2, 3)) + rng.normal(size=(3, 60, 3))
        model = vdi.LDS(d=2, n=3)
        before = model.score(y)
        model.R[:] = 4 * np.eye(3)
        self.assertNotEqual(model.score(y), before)
        A, alive = model.A, weakref.ref(model)
        del model
        gc.collect()
        self.assertIsNotNone(alive())  # an array keeps the model
        np.testing.assert_allclose(A, 0.95 * np.eye(2))
        del A
        gc.collect()
        self.assertIsNone(alive())

    def test_options_and_errors(self):
        y = np.random.default_rng(0).normal(size=(50, 3))
        self.assertEqual(vdi.LDS(d=1, diagonal_r=True).fit(y, steps=3).R[0, 1], 0)
        for bad in [
            lambda: vdi.LDS(d=0).fit(y),
            lambda: vdi.LDS(d=1, nothing=3).fit(y),
            lambda: vdi.LDS(d=1).smooth(y[None, None]),
            lambda: vdi.LDS(d=1, n=4).fit(y),
            lambda: vdi.LDS(d=1).A,
            lambda: vdi.LDS(d=1, max_radius=-1).fit(y),
        ]:
            with self.assertRaises(vdi.Error):
                bad()
        with self.assertRaisesRegex(vdi.Error, "expected 1 to"):
            vdi.LDS(d=0).fit(y)

    def test_files(self):
        y = np.random.default_rng(0).normal(size=(50, 3))
        model = vdi.LDS(d=2).fit(y, steps=3)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.safetensors")
            model.save(path)
            self.assertEqual(vdi.LDS(d=2, n=3).load(path).score(y), model.score(y))
            with self.assertRaises(vdi.Error):
                vdi.LDS(d=1, n=3).load(path)


class Counts(unittest.TestCase):
    def setUp(self):
        z, rng = rotation(4, 50)
        self.z, self.counts = z, rng.poisson(np.exp(0.8 * z @ rng.normal(size=(2, 12)) - 0.5))

    def r2(self, latents):
        design = np.column_stack([latents.reshape(-1, 2), np.ones(200)])
        left = (
            self.z.reshape(-1, 2)
            - design @ np.linalg.lstsq(design, self.z.reshape(-1, 2), rcond=None)[0]
        )
        return 1 - left.var() / self.z.var()

    def test_plds(self):
        model = vdi.PLDS(d=2).fit(self.counts, steps=10)
        self.assertTrue((np.diff(model.trace) > -1e-7).all())
        got = model.infer(self.counts)
        self.assertGreater(self.r2(got.mean), 0.6)
        self.assertAlmostEqual(got.rate.mean(), self.counts.mean(), delta=0.05 * self.counts.mean())
        self.assertAlmostEqual(model.score(self.counts), got.log_likelihood.sum() / 200, places=6)
        with self.assertRaises(vdi.Error):
            vdi.PLDS(d=2).fit(self.counts - 1)

    def test_flds(self):
        options = dict(d=2, recipe="smooth", hidden=(10,), steps=80, restarts=1, link="exp")
        seen = []
        model = vdi.fLDS(**options).fit(self.counts, progress=lambda p: seen.append(p.step))
        self.assertEqual(len(seen), 80)
        got = model.infer(self.counts)
        self.assertGreater(self.r2(got.mean), 0.5)
        np.testing.assert_array_equal(vdi.fLDS(**options).fit(self.counts).trace, model.trace)
        stopped = vdi.fLDS(**options).fit(self.counts, progress=lambda p: p.step < 10)
        self.assertEqual(len(stopped.trace), 10)
        for bad in [dict(obs="nothing"), dict(hidden=(0,)), dict(recipe="none")]:
            with self.assertRaises(vdi.Error):
                vdi.fLDS(d=2, **bad).fit(self.counts)


class Point:
    observations, actions, components, limit, name = 2, 1, ("near", "effort"), 25, "point"

    def reset(self, seed, episode):
        self.x, self.left = np.array([1.0, 0.0]), 25
        return self.x

    def step(self, action):
        self.x = self.x + 0.1 * np.array([self.x[1], action[0]])
        self.left -= 1
        return self.x, (-self.x[0] ** 2, -0.1 * action[0] ** 2), 0 if self.left else 2


class Agents(unittest.TestCase):
    def test_built_in(self):
        a, b = (
            vdi.Agent("pendulum", start=60, hidden=(16, 16), batch=32).train(250) for _ in range(2)
        )
        self.assertEqual(a.components, ["angle", "speed", "torque"])
        self.assertEqual(len(a.returns), 1)
        np.testing.assert_array_equal(a.returns[0][1], b.returns[0][1])
        np.testing.assert_array_equal(a.act([1, 0, 0]), b.act([1, 0, 0]))
        answer = a.ask([1, 0, 0])
        self.assertEqual((answer.value.shape, answer.influence.shape), ((4,), (4,)))
        a.weights = [0, 1, 1, 1]
        self.assertEqual(a.ask([1, 0, 0]).influence[0], 0)
        sums, steps = a.play()
        self.assertEqual((sums.shape, steps), ((3,), 200))

    def test_of_ones_own(self):
        agent = vdi.Agent(Point(), start=40, hidden=(16, 16), batch=32).train(100)
        self.assertEqual([s for s, _ in agent.returns], [25, 50, 75, 100])
        self.assertLessEqual(abs(agent.act([1, 0])[0]), 1)

    def test_errors(self):
        class Broken(Point):
            def step(self, action):
                raise ValueError("mine")

        with self.assertRaisesRegex(ValueError, "mine"):
            vdi.Agent(Broken()).train(3)
        with self.assertRaisesRegex(vdi.Error, "pendulum"):
            vdi.Agent("nowhere")
        with self.assertRaises(vdi.Error):
            vdi.Agent("pendulum", gamma=2)
        with self.assertRaises(vdi.Error):
            vdi.Agent("pendulum", hidden=(8,)).act([np.nan, 0, 0])
        with self.assertRaises(vdi.Error):
            vdi.Agent("pendulum", hidden=(8,)).weights = [1, 2]


class Everything(unittest.TestCase):
    def test_each_function_is_there(self):
        names = [n for n in vars(vdi.c) if callable(getattr(vdi.c, n)) and n.startswith("vdi_")]
        self.assertGreater(len(names), 700)
        self.assertIn("nats", vdi.c.vdi_lds_log_likelihood.__doc__ + vdi.c.vdi_vilds_score.__doc__)
        x, y = np.linspace(-3, 3, 7), np.zeros(7)
        vdi.c.vdi_tanh(vdi.c.VDI_F64, 7, x, y)
        np.testing.assert_allclose(y, np.tanh(x), rtol=1e-14)
        with self.assertRaises(Exception):  # ctypes.ArgumentError: an array of the wrong type
            vdi.c.vdi_dtype_load(vdi.c.VDI_F64, "x", x)

    def test_figure(self):
        figure = vdi.Figure("of numbers", rows=2)
        figure.line(figure.panel(0, x="time"), "a", np.arange(5.0), color="BLUE")
        figure.heatmap(figure.panel(1), np.eye(3))
        with tempfile.TemporaryDirectory() as folder:
            figure.save(os.path.join(folder, "a.svg"))
            with open(os.path.join(folder, "a.svg")) as file:
                self.assertIn("of numbers", file.read())


if __name__ == "__main__":
    unittest.main()
