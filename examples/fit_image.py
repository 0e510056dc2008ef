"""Fit an exponential decay in every pixel of an image.

Twelve noisy images, taken at different times of a signal that decays as ``amplitude * exp(-rate *
t)``, become three: amplitude, rate and residual.  One call of `minimize_batch` solves all pixels;
some of them go to SciPy's `curve_fit` for comparison.

    python examples/fit_image.py [--size 512] [--sample 300] [--plot fit_image.png]
"""

import argparse
import math
import time

import numpy as np
from numba import njit
from scipy.optimize import curve_fit

import numadelta as nd

TIMES = 0.01 * np.arange(1, 13)
NOISE = 10.0
# Of amplitude and rate.
START = (300.0, 10.0)
LOWER, UPPER = (0.0, 0.1), (5000.0, 200.0)


@njit(error_model="numpy")
def mean_square(x, grad, signal, times):
    """Return the mean squared residual of one pixel; write its gradient."""
    loss = to_amplitude = to_rate = 0.0
    for k in range(times.size):
        decay = math.exp(-x[1] * times[k])
        residual = x[0] * decay - signal[k]
        loss += residual * residual
        to_amplitude += residual * decay
        to_rate -= residual * x[0] * decay * times[k]
    grad[0] = 2 * to_amplitude / times.size
    grad[1] = 2 * to_rate / times.size
    return loss / times.size


def phantom(size: int) -> np.ndarray:
    """Return images of amplitude and rate: ellipses, each with values of its own."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    amplitude, rate = np.full_like(x, 100.0), 6 + 2 * x
    for row, column, height, width, strength, speed in (
        (0, 0, 0.9, 0.7, 400, 14),
        (0, 0, 0.8, 0.6, 500, 8),
        (-0.2, -0.25, 0.3, 0.15, 900, 4),
        (-0.2, 0.25, 0.3, 0.15, 900, 5),
        (0.45, 0, 0.15, 0.25, 250, 22),
        (-0.65, 0, 0.08, 0.08, 700, 30),
    ):
        inside = ((y - row) / height) ** 2 + ((x - column) / width) ** 2 < 1
        amplitude[inside] = strength + 60 * x[inside]
        rate[inside] = speed + 2 * y[inside]
    return np.array([amplitude, rate])


def model(t, amplitude, rate):
    """Return the signal as `curve_fit` wants it."""
    return amplitude * np.exp(-rate * t)


def main(size: int, sample: int, plot: str | None) -> None:
    """Fit all pixels, and some with SciPy."""
    rng = np.random.default_rng(0)
    truth = phantom(size)
    signals = truth[0, ..., None] * np.exp(-truth[1, ..., None] * TIMES)
    signals = (signals + rng.normal(scale=NOISE, size=signals.shape)).reshape(-1, TIMES.size)

    def fit(signals):
        return nd.minimize_batch(
            mean_square,
            START,
            args=(signals, TIMES),
            in_axes=(0, None),
            jac="inplace",
            bounds=list(zip(LOWER, UPPER, strict=True)),
        )

    fit(signals[:1])  # compiles
    begin = time.perf_counter()
    result = fit(signals)
    seconds = time.perf_counter() - begin
    each = seconds / len(signals)
    print(
        f"minimize_batch: {len(signals)} fits in {seconds:.2f} s, {1e6 * each:.1f} us each, "
        f"{np.median(result.nfev):.0f} evaluations (median), {result.success.mean():.3%} converged"
    )
    fitted = result.x.T.reshape(truth.shape)
    for name, values, true in zip(("amplitude", "rate"), fitted, truth, strict=True):
        print(f"  {name}: median relative error {np.median(np.abs(values / true - 1)):.2%}")
    residual = np.sqrt(result.fun).reshape(size, size)
    expected = NOISE * math.sqrt(1 - 2 / TIMES.size)
    print(f"  residual: rms {np.sqrt(np.mean(residual**2)):.3f}, expected {expected:.3f}")

    pixels = rng.choice(len(signals), min(sample, len(signals)), replace=False)
    for name, limits in {"with bounds": (LOWER, UPPER), "without": (-np.inf, np.inf)}.items():
        begin = time.perf_counter()
        fits = [curve_fit(model, TIMES, signals[k], START, bounds=limits)[0] for k in pixels]
        scipy_each = (time.perf_counter() - begin) / len(pixels)
        difference = np.abs(result.x[pixels] / np.array(fits) - 1).max()
        print(
            f"curve_fit {name}: {1e3 * scipy_each:.2f} ms each, "
            f"{scipy_each * len(signals):.0f} s for all ({scipy_each / each:.0f} times as long); "
            f"largest relative difference {difference:.1e}"
        )
    if plot:
        draw(truth, fitted, residual, plot)


def draw(truth, fitted, residual, plot: str) -> None:
    """Draw true and fitted images, and the residual."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, layout="constrained", figsize=(11, 7))
    for column, name in enumerate(("amplitude", "rate")):
        high = truth[column].max()
        for ax, values, kind in zip(
            axes[:, column], (truth[column], fitted[column]), ("true", "fitted"), strict=True
        ):
            image = ax.imshow(values, vmin=0, vmax=high)
            ax.set_title(f"{kind} {name}")
        figure.colorbar(image, ax=axes[:, column], shrink=0.7)
    image = axes[0, 2].imshow(residual, cmap="magma")
    axes[0, 2].set_title("residual (root mean square)")
    figure.colorbar(image, ax=axes[0, 2], shrink=0.9)
    error = fitted[1] / truth[1] - 1
    image = axes[1, 2].imshow(error, cmap="RdBu", vmin=-0.2, vmax=0.2)
    axes[1, 2].set_title("relative error of the rate")
    figure.colorbar(image, ax=axes[1, 2], shrink=0.9)
    for ax in axes.flat:
        ax.set_axis_off()
    figure.savefig(plot, dpi=100)
    print(f"wrote {plot}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="pixels along each side")
    parser.add_argument("--sample", type=int, default=300, help="pixels given to SciPy")
    parser.add_argument("--plot", help="write the images to this PNG")
    main(**vars(parser.parse_args()))
