"""``numadelta info``: versions, threads, BLAS and GPU."""

from __future__ import annotations

import argparse
import platform
from importlib import metadata
from typing import Any

import numadelta
from numadelta import team

PACKAGES = (
    "tqdm",
    "pooch",
    "matplotlib",
    "scikit-learn",
    "joblib",
    "threadpoolctl",
    "numba-cuda",
    "torch",
    "jax",
)


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "info",
        help="print versions, threads, BLAS and GPU",
        description="Print the versions of numadelta and its libraries, threads, BLAS and GPU.",
    )
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each."""
    import numba
    import numpy as np
    import scipy

    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    name, version = (blas.get(key, "unknown") for key in ("name", "version"))
    rows = {
        "numadelta": numadelta.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "numba": numba.__version__,
        "threads": f"{numadelta.get_num_threads()} (Python threads over compiled loops)",
        "numba-layer": f"{getattr(numba.config, 'THREADING_LAYER')} (not used)",  # noqa: B009
        "BLAS": f"{name} {version}{_blas_threads()}",
        "tiles": "for narrow networks" if team.has_registers() else "not used, without AVX-512",
        "GPU": _gpu(),
    }
    for package in PACKAGES:
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
    from numadelta.device import describe_gpu

    return describe_gpu()
