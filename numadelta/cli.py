"""The command ``numadelta``: train, bench, info."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numadelta

# Epochs and batch size where the user gives none.
DEFAULTS = {"mnist": (10, 128), "digits": (40, 32)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 (failed) or 2 (bad usage)."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.command(arguments)
    except (ValueError, OSError, ImportError) as error:
        print(f"numadelta: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="numadelta", description="ADADELTA for NumPy.")
    parser.add_argument("--version", action="version", version=numadelta.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser(
        "train",
        help="train a network on handwritten digits",
        description="Train a multi-layer perceptron on MNIST with ADADELTA and test it.",
    )
    train.set_defaults(command=_train)
    train.add_argument(
        "--dataset",
        choices=sorted(DEFAULTS),
        help="insist on this data set (by default MNIST, or scikit-learn's small digits where "
        "MNIST cannot be had)",
    )
    train.add_argument("--data-dir", type=Path, help="folder with the MNIST files")
    train.add_argument(
        "--hidden",
        type=_positive,
        nargs="*",
        default=[512],
        metavar="UNITS",
        help="units of each hidden layer (default: 512)",
    )
    train.add_argument(
        "--activation",
        choices=("relu", "tanh", "logistic"),
        default="relu",
        help="of the hidden layers (default: relu)",
    )
    train.add_argument("--epochs", type=_positive, help="default: 10 for MNIST, 40 for the digits")
    train.add_argument(
        "--batch-size", type=_positive, help="default: 128 for MNIST, 32 for the digits"
    )
    train.add_argument("--lr", type=float, default=1.0, help="factor of each step (default: 1)")
    train.add_argument("--rho", type=float, default=0.95, help="decay rate (default: 0.95)")
    train.add_argument("--eps", type=float, default=1e-6, help="constant (default: 1e-6)")
    train.add_argument(
        "--seed", type=int, default=0, help="of initialisation and shuffling (default: 0)"
    )
    train.add_argument("--plot", type=Path, metavar="PNG", help="write the learning curves here")
    train.add_argument("--save", type=Path, metavar="FILE", help="write the trained network here")
    train.add_argument("--quiet", action="store_true", help="print the result only")

    bench = commands.add_parser(
        "bench", help="compare speed with other libraries", description="Compare with peers."
    )
    bench.set_defaults(command=_bench)
    bench.add_argument(
        "--quick", action="store_true", help="smaller and fewer jobs, in a minute or so"
    )
    bench.add_argument("--json", action="store_true", help="print JSON instead of a table")

    info = commands.add_parser("info", help="print versions, threads, BLAS and GPU")
    info.set_defaults(command=_info)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def _train(arguments: argparse.Namespace) -> int:
    # Loaded first, so that a missing extra is not found out after the training.
    if arguments.plot:
        from numadelta import plotting

        _require_parent(arguments.plot)
        _use_agg()
    if arguments.save:
        _require_parent(arguments.save)
    name, (x_train, y_train), (x_test, y_test) = _load(arguments.dataset, arguments.data_dir)
    epochs, batch_size = DEFAULTS[name]
    net = numadelta.MLP(
        (x_train.shape[1], *arguments.hidden, 10),
        activation=arguments.activation,
        seed=arguments.seed,
    )
    started = time.perf_counter()
    history = net.fit(
        x_train,
        y_train,
        epochs=arguments.epochs or epochs,
        batch_size=arguments.batch_size or batch_size,
        validation_data=(x_test, y_test),
        verbose=0 if arguments.quiet else 1,
        lr=arguments.lr,
        rho=arguments.rho,
        eps=arguments.eps,
    )
    seconds = time.perf_counter() - started
    loss, accuracy = net.evaluate(x_test, y_test)
    layers = "-".join(str(size) for size in net.layer_sizes)
    print(
        f"{name} {layers}: test accuracy {accuracy:.2%}, test loss {loss:.4f}, "
        f"{len(history.epoch)} epochs in {seconds:.1f} s"
    )
    if arguments.save:
        net.save(arguments.save)
        print(f"saved {arguments.save}")
    if arguments.plot:
        ax = plotting.learning_curves(history)
        ax.figure.savefig(arguments.plot, dpi=120)
        print(f"wrote {arguments.plot}")
    return 0


def _require_parent(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.absolute().parent} to write {path} into")


def _use_agg() -> None:
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("--plot needs matplotlib: pip install numadelta[plot]") from error
    matplotlib.use("agg")


def _load(dataset: str | None, data_dir: Path | None) -> tuple[str, Any, Any]:
    """Return the name of a data set, its training and its test part."""
    if dataset != "digits":
        try:
            train, test = numadelta.datasets.load_mnist(data_dir)
        except (FileNotFoundError, ImportError) as error:
            # A place that the user named must work.
            if dataset or data_dir or os.environ.get("NUMADELTA_DATA"):
                raise
            reason = str(error).splitlines()[0]
            print(f"no MNIST, training on scikit-learn's 8x8 digits instead ({reason})")
        else:
            (x_train, y_train), (x_test, y_test) = train, test
            x_train, x_test = _standardized(x_train, x_test)
            return "mnist", (x_train, y_train), (x_test, y_test)
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise ImportError(
            "the small digits come with scikit-learn: pip install numadelta[sklearn]"
        ) from error
    images, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        images, labels, test_size=0.2, random_state=0, stratify=labels
    )
    x_train, x_test = _standardized(x_train, x_test)
    return "digits", (x_train, y_train), (x_test, y_test)


def _standardized(x_train: Any, x_test: Any) -> tuple[Any, ...]:
    """Return images as flat rows, with mean 0 and deviation 1 over all training pixels.

    Against pixels from 0 to 1 this was worth 0.2 percentage points on MNIST (six seeds).
    """
    mean, deviation = x_train.mean(dtype="float32"), x_train.std(dtype="float32")
    return tuple(
        (images.reshape(len(images), -1).astype("float32") - mean) / deviation
        for images in (x_train, x_test)
    )


def _bench(arguments: argparse.Namespace) -> int:
    from numadelta import bench

    return bench.run(quick=arguments.quick, json=arguments.json)


def _info(arguments: argparse.Namespace) -> int:
    import numba
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    rows = {
        "numadelta": numadelta.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "numpy": np.__version__,
        "scipy": metadata.version("scipy"),
        "numba": numba.__version__,
        "threads": f"{numadelta.get_num_threads()} (Python threads over compiled loops)",
        "numba-layer": f"{getattr(numba.config, 'THREADING_LAYER')} (not used)",  # noqa: B009
        "BLAS": f"{blas['name']} {blas['version']}{_blas_threads()}",
        "GPU": _gpu(),
    }
    for package in ("tqdm", "pooch", "matplotlib", "scikit-learn", "numba-cuda", "torch", "jax"):
        try:
            rows[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            rows[package] = "not installed"
    for name, value in rows.items():
        print(f"{name:13} {value}")
    return 0


def _blas_threads() -> str:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return ""
    counts = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    return f", {'/'.join(map(str, sorted(counts)))} threads" if counts else ""


def _gpu() -> str:
    from numadelta.cuda import describe_gpu

    return describe_gpu()


if __name__ == "__main__":
    sys.exit(main())
