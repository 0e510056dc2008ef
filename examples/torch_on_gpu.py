"""Train a PyTorch network on a GPU with this step, side by side with PyTorch's own Adadelta.

The parameters of the network become views of one flat tensor and their gradients of another, so
that a step is one kernel whatever the number of layers.  Then steps alone, of several sizes, next
to a kernel that reads and writes as much and computes nothing.

    pip install "numadelta[cuda13]" torch
    python examples/torch_on_gpu.py [--compile]

Both take the same steps; in float32 training itself lets roundings grow, hence float64 as well.
Without a GPU only the network is trained, on the CPU.  ``--compile`` adds ``torch.compile`` of
PyTorch's step.
"""

import argparse
import statistics
import time

import numpy as np
import torch

import numadelta as nd

SIZES = [10**3, 10**5, 10**6, 10**7, 10**8]
ROUNDS = 7


def flatten(module):
    """Make parameters and gradients of a module views of two flat tensors; return these."""
    parameters = list(module.parameters())
    flat = torch.cat([p.detach().reshape(-1) for p in parameters])
    grads = torch.zeros_like(flat)
    sizes = [p.numel() for p in parameters]
    for p, values, grad in zip(parameters, flat.split(sizes), grads.split(sizes), strict=True):
        p.data, p.grad = values.view_as(p), grad.view_as(p)
    return flat, grads


def network(device, dtype):
    """Return 784-512-512-10, the same every time."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(784, 512), torch.nn.ReLU(), torch.nn.Linear(512, 512)]
    return torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Linear(512, 10)).to(device, dtype)


def train(net, step, zero, batches):
    """Take one step for each batch."""
    for x, y in batches:
        zero()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        step()


def compare_training(device, dtype):
    """Train two equal networks; print how far apart they end and what a batch takes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(220, 128, 784, generator=generator).to(device, dtype)
    y = x[:, :, :10].argmax(2)
    ours, theirs = network(device, dtype), network(device, dtype)
    flat, grads = flatten(ours)
    params, handed = (flat, grads) if flat.is_cuda else (flat.numpy(), grads.numpy())
    opt = nd.Adadelta(params, nonfinite="propagate")
    optimizer = torch.optim.Adadelta(theirs.parameters(), lr=1.0, rho=0.95, eps=1e-6)
    runs = {
        "numadelta": (ours, lambda: opt.step(handed), grads.zero_),
        "PyTorch": (theirs, optimizer.step, optimizer.zero_grad),
    }
    seconds = {name: [] for name in runs}
    for start in range(0, 220, 20):
        for name, run in runs.items():
            began = time.perf_counter()
            train(*run, zip(x[start : start + 20], y[start : start + 20], strict=True))
            flat[0].item()  # waits for the GPU
            seconds[name].append((time.perf_counter() - began) / 20)
    apart = (torch.nn.utils.parameters_to_vector(theirs.parameters()) - flat).abs().max()
    times = ", ".join(f"{name} {1e6 * statistics.median(s):.0f} us" for name, s in seconds.items())
    print(f"784-512-512-10, {dtype}, a batch of 128: {times}; at the end {apart:.0e} apart")


def stepper(n, dtype, nonfinite):
    """Return a function that takes our step on n elements."""
    params, grads = torch.randn(2, n, dtype=dtype, device="cuda")
    opt = nd.Adadelta(params, nonfinite=nonfinite)
    return lambda: opt.step(grads)


def stepper_of_torch(n, dtype, compiled):
    """Return a function that takes PyTorch's step on n elements."""
    params, grads = torch.randn(2, n, dtype=dtype, device="cuda")
    params = torch.nn.Parameter(params)
    params.grad = grads
    optimizer = torch.optim.Adadelta([params], lr=1.0, rho=0.95, eps=1e-6, capturable=compiled)
    return torch.compile(optimizer.step) if compiled else optimizer.step


def streamer(n, dtype):
    """Return a function that reads four arrays and writes three, as a step must."""
    from numba import cuda

    @cuda.jit
    def stream(x, g, v, u):
        i = cuda.grid(1)
        if i < x.size:
            grad = g[i]
            x[i] += grad
            v[i] += grad
            u[i] += grad

    arrays = [cuda.as_cuda_array(t, sync=False) for t in torch.randn(4, n, dtype=dtype).cuda()]
    return lambda: stream[max(-(-n // 256), 128), 256](*arrays)


def seconds_of(call, calls):
    """Return the seconds of one call, the GPU's work included."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(calls):
        call()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / calls


def compare_steps(compiled):
    """Print microseconds of a step, medians of rounds in turns."""
    print(f"\n{torch.cuda.get_device_name()}; microseconds a step, medians of {ROUNDS}")
    names = ["numadelta", "no NaN check", "traffic alone", "PyTorch", *["compiled"] * compiled]
    print(f"{'':>20}" + "".join(f"{name:>15}" for name in names))
    for n, dtype in [*((n, torch.float32) for n in SIZES), (10**7, torch.float64)]:
        calls = [
            stepper(n, dtype, "raise"),
            stepper(n, dtype, "propagate"),
            streamer(n, dtype),
            stepper_of_torch(n, dtype, False),
            *(stepper_of_torch(n, dtype, True) for _ in range(compiled)),
        ]
        often = max(10, min(200, 10**8 // n))
        for call in calls:
            seconds_of(call, 5)
        rounds = [[seconds_of(call, often) for call in calls] for _ in range(ROUNDS)]
        medians = [1e6 * statistics.median(column) for column in zip(*rounds, strict=True)]
        kind = str(dtype).removeprefix("torch.")
        print(f"{n:>11,} {kind:>8}" + "".join(f"{median:15.1f}" for median in medians), flush=True)


def compare_values():
    """Print how far a GPU's steps are from the CPU's."""
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        start, *gradients = rng.standard_normal((51, 10**6)).astype(dtype)
        on_gpu, on_cpu = torch.from_numpy(start).cuda(), start.copy()
        ours, theirs = nd.Adadelta(on_gpu), nd.Adadelta(on_cpu)
        for g in gradients:
            ours.step(torch.from_numpy(g).cuda())
            theirs.step(g)
        moved = np.abs(on_cpu - start).max()
        error = np.abs(on_gpu.cpu().numpy() - on_cpu).max() / moved
        print(f"50 steps, {np.dtype(dtype)}: GPU and CPU differ by {error:.1e} of the way gone")


def main() -> None:
    """Train, and measure if there is a GPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compile", action="store_true", help="also torch.compile the step")
    options = parser.parse_args()
    for dtype in (torch.float32, torch.float64):
        compare_training("cuda" if torch.cuda.is_available() else "cpu", dtype)
    if torch.cuda.is_available():
        compare_values()
        compare_steps(options.compile)


if __name__ == "__main__":
    main()
