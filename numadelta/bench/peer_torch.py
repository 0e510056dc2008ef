"""Worker: PyTorch on the CPU."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from numadelta.bench import worker
from numadelta.bench.problems import (
    EPS,
    LARGE,
    LR,
    NETS,
    RHO,
    SMALL,
    STUCK,
    STUCK_VALUE,
    Net,
    params_and_grads,
)


def optimizer(params: Iterable[Any], foreach: bool = False) -> Any:
    """Return an Adadelta, by default in the form that PyTorch itself takes on the CPU: a loop."""
    from torch.optim import Adadelta

    return Adadelta(params, lr=LR, rho=RHO, eps=EPS, foreach=foreach)


def parameter(size: int) -> Any:
    """Return a tensor with a gradient."""
    import torch

    params, grads = map(torch.from_numpy, params_and_grads(size))
    params.requires_grad_()
    params.grad = grads
    return params


def step(quick: bool) -> dict[str, Any]:
    """Step a large tensor."""
    return worker.measure(optimizer([parameter(LARGE)]).step, quick)


def step_foreach(quick: bool) -> dict[str, Any]:
    """Do so in PyTorch's other form."""
    return worker.measure(optimizer([parameter(LARGE)], foreach=True).step, quick)


def step_compiled(quick: bool) -> dict[str, Any]:
    """Do so with the optimiser compiled."""
    import torch

    return worker.measure(torch.compile(optimizer([parameter(LARGE)]).step), quick)


def door(quick: bool) -> dict[str, Any]:
    """Step a small tensor."""
    opt = optimizer([parameter(SMALL)])
    return worker.measure(worker.repeat(opt.step, 1000), quick, 1000)


def stuck(quick: bool) -> dict[str, Any]:
    """Step where gradients have become zero and their averages subnormal, over a normal step."""
    params = parameter(STUCK)
    params.grad.zero_()
    dead = optimizer([params])
    dead.step()  # which makes the state
    for name in ("square_avg", "acc_delta"):
        dead.state[params][name].fill_(float(STUCK_VALUE))
    return worker.compare(dead.step, optimizer([parameter(STUCK)]).step, quick)


def model_of(net: Net) -> Any:
    """Return a fresh network."""
    from torch import nn

    layers: list[Any] = []
    for inputs, outputs in zip(net.sizes, net.sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def train(name: str, quick: bool, compiled: bool = False) -> dict[str, Any]:
    """Train a network in a plain loop over tensors: a DataLoader would only slow it down.

    There is no foreach here: with so few tensors it takes the same time as the loop over them.
    """
    import torch
    from torch.nn import functional

    net = NETS[name]
    torch.manual_seed(0)
    samples, targets = map(torch.from_numpy, net.data(quick))
    model = model_of(net)
    opt = optimizer(model.parameters())
    forward, step = model, opt.step
    if compiled:
        forward, step = torch.compile(model), torch.compile(opt.step)
    loss_of = functional.mse_loss if net.regression else functional.cross_entropy
    losses = []

    def epoch() -> None:
        total = torch.zeros(())
        for rows in torch.randperm(len(samples)).split(net.batch):
            opt.zero_grad()
            batch = samples.index_select(0, rows), targets.index_select(0, rows)
            loss = loss_of(forward(batch[0]), batch[1])
            loss.backward()
            step()
            total += loss.detach()
        losses.append(total.item() / net.batches(quick))

    seconds = [worker.timed(epoch) for _ in range(worker.epochs(quick))]
    return worker.outcome(seconds, net.parts(quick), loss=losses[-1])


def version() -> str:
    """Return what was measured."""
    import torch

    return f"torch {torch.__version__}"


TASKS: dict[str, worker.Task] = {
    "step": step,
    "step-foreach": step_foreach,
    "step-compiled": step_compiled,
    "door": door,
    "stuck": stuck,
    **{name: partial(train, name) for name in NETS},
    **{f"{name}-compiled": partial(train, name, compiled=True) for name in NETS},
}

if __name__ == "__main__":
    worker.main(TASKS, version)
