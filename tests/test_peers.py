"""Equality with PyTorch; the settings of Keras and optax are among the goldens."""

from __future__ import annotations

import numpy as np
import pytest

import numadelta as nd


def random_problem(rng):
    """Return options that both libraries take, a start and a few gradients."""
    options = {
        "lr": 10 ** rng.uniform(-4, 1),
        "rho": rng.uniform(0, 0.999),
        "eps": 10 ** rng.uniform(-10, -2),
        "weight_decay": rng.choice([0, 10 ** rng.uniform(-4, 0)]),
        "maximize": bool(rng.integers(2)),
    }
    n, steps = rng.integers(1, 6, size=2)
    gradients = rng.normal(size=(steps, n)) * 10 ** rng.uniform(-6, 4)
    gradients[rng.random((steps, n)) < 0.1] = 0
    return options, rng.normal(size=n), gradients


def test_a_thousand_random_runs_agree_with_pytorch_in_float64():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)
    rng = np.random.default_rng(0)
    for _ in range(1000):
        options, start, gradients = random_problem(rng)
        theirs = torch.nn.Parameter(torch.tensor(start))
        peer = torch.optim.Adadelta([theirs], foreach=False, **options)
        ours = nd.Adadelta(start, **options)
        for g in gradients:
            theirs.grad = torch.tensor(g)
            peer.step()
            ours.step(g)
        state = peer.state[theirs]
        expected = (theirs.detach(), state["square_avg"], state["acc_delta"])
        found = (ours.params, ours.square_avg, ours.acc_delta)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-12, atol=1e-15, err_msg=str(options))
