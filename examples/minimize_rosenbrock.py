"""Minimise the Rosenbrock function and draw the path over its contours.

Plain ADADELTA with its default rate oscillates across this narrow valley and never settles; with
lr=0.1 it follows the valley floor, slowly.  The result is the best point seen, and `success` tells
honestly whether the gradient became small.

    python examples/minimize_rosenbrock.py [--maxiter 20000] [--plot rosenbrock.png]
"""

import argparse

from scipy.optimize import rosen, rosen_der

import numadelta as nd

START = [-1.2, 1.0]


def main(maxiter: int, plot: str) -> None:
    """Compare two rates and draw the path of the smaller."""
    for lr in (1.0, 0.1):
        result = nd.minimize(
            rosen, START, jac=rosen_der, lr=lr, options={"maxiter": maxiter, "return_all": True}
        )
        print(
            f"lr {lr}: f = {result.fun:.3g} at x = {result.x}, {result.nit} iterations, "
            f"success {result.success}: {result.message}"
        )

    from numadelta import plotting

    ax = plotting.contour_path(rosen, result.allvecs, xlim=(-1.6, 1.6), ylim=(-0.6, 1.8))
    ax.plot(1, 1, "x", color="black", label="minimum")
    ax.set_title(f"ADADELTA on Rosenbrock's function, lr {lr}, {result.nit} iterations")
    ax.legend()
    ax.figure.savefig(plot, dpi=120)
    print(f"wrote {plot}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maxiter", type=int, default=20_000)
    parser.add_argument("--plot", default="rosenbrock.png", help="write the path to this PNG")
    main(**vars(parser.parse_args()))
