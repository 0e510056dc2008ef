"""Draw the paths of three methods over the contours of three functions.

Rosenbrock's, Beale's and Himmelblau's functions, each from its usual start: `minimize` as it is,
the method of the paper without safeguard, and SciPy's L-BFGS-B.

    python examples/paths.py [--maxiter 400] [--plot paths.png]
"""

import argparse

import numpy as np
from numba import njit
from scipy.optimize import minimize as scipy_minimize

import numadelta as nd


@njit
def rosenbrock(x):
    """Return Rosenbrock's function, a bent valley with its minimum at (1, 1)."""
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


@njit
def rosenbrock_grad(x):
    """Return the gradient of Rosenbrock's function."""
    rise = x[1] - x[0] ** 2
    return np.array([-400 * x[0] * rise - 2 * (1 - x[0]), 200 * rise])


@njit
def beale(x):
    """Return Beale's function, whose minimum is at (3, 0.5)."""
    total = 0.0
    for power, constant in enumerate((1.5, 2.25, 2.625), 1):
        total += (constant - x[0] * (1 - x[1] ** power)) ** 2
    return total


@njit
def beale_grad(x):
    """Return the gradient of Beale's function."""
    grad = np.zeros(2)
    for power, constant in enumerate((1.5, 2.25, 2.625), 1):
        residual = constant - x[0] * (1 - x[1] ** power)
        grad[0] += 2 * residual * (x[1] ** power - 1)
        grad[1] += 2 * residual * x[0] * power * x[1] ** (power - 1)
    return grad


@njit
def himmelblau(x):
    """Return Himmelblau's function, which has four minima."""
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


@njit
def himmelblau_grad(x):
    """Return the gradient of Himmelblau's function."""
    first, second = x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7
    return np.array([4 * x[0] * first + 2 * second, 2 * first + 4 * x[1] * second])


# Function, gradient, start, limits of the picture, minima.
PROBLEMS = {
    "Rosenbrock": (rosenbrock, rosenbrock_grad, (-1.2, 1.0), ((-1.6, 1.6), (-0.6, 1.8)), [(1, 1)]),
    "Beale": (beale, beale_grad, (1.0, 1.0), ((0.3, 3.5), (-0.7, 1.3)), [(3, 0.5)]),
    "Himmelblau": (
        himmelblau,
        himmelblau_grad,
        (0.0, 0.0),
        ((-5, 5), (-5, 5)),
        [(3, 2), (-2.805118, 3.131313), (-3.77931, -3.283186), (3.584428, -1.848127)],
    ),
}


def paths(fun, jac, start, maxiter):
    """Return for each method its result, with the points that it went through."""
    through = [np.array(start)]
    lbfgsb = scipy_minimize(fun, start, jac=jac, method="L-BFGS-B", callback=through.append)
    lbfgsb.allvecs = through
    return {
        "numadelta": nd.minimize(fun, start, jac=jac, return_all=True),
        "plain ADADELTA": nd.minimize(
            fun, start, jac=jac, safeguard=False, maxiter=maxiter, return_all=True
        ),
        "L-BFGS-B": lbfgsb,
    }


def main(maxiter: int, plot: str) -> None:
    """Print where each method ends, and draw how it got there."""
    from matplotlib import pyplot

    from numadelta import plotting

    figure, axes = pyplot.subplots(3, 3, layout="constrained", figsize=(12, 11))
    for row, (name, (fun, jac, start, (xlim, ylim), minima)) in zip(
        axes, PROBLEMS.items(), strict=True
    ):
        for ax, (method, result) in zip(row, paths(fun, jac, start, maxiter).items(), strict=True):
            print(
                f"{name:10}  {method:14} {result.nfev:4} evaluations, f = {result.fun:8.2g} "
                f"at {np.round(result.x, 4)}"
            )
            path = np.array(result.allvecs)
            plotting.contour_path(fun, path, ax, xlim=xlim, ylim=ylim)
            ax.plot(*np.transpose(minima), "x", color="black", markersize=9, label="minimum")
            ax.set(xlim=xlim, ylim=ylim)
            ax.set_title(f"{name}, {method}\n{result.nfev} evaluations, f = {result.fun:.1g}")
            handles = ax.get_legend_handles_labels()
            ax.get_legend().remove()
    figure.legend(*handles, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(plot, dpi=100)
    print(f"wrote {plot}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maxiter", type=int, default=400, help="steps of plain ADADELTA")
    parser.add_argument("--plot", default="paths.png", help="write the paths to this PNG")
    main(**vars(parser.parse_args()))
