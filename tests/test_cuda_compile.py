"""The kernels through NVIDIA's compiler, which needs no GPU, only the package numba-cuda."""

import re

import numba
import pytest
from numba import types

pytestmark = pytest.mark.skipif(
    bool(numba.config.ENABLE_CUDASIM or numba.config.DISABLE_JIT),
    reason="the simulator compiles nothing",
)

array_of, bad = lambda real: real[::1], types.int64[::1]
SIGNATURES = {
    "_step": lambda real: (array_of(real),) * 4 + (bad,) + (real,) * 7,
    "_find_unusable": lambda real: (array_of(real),) * 2 + (bad,) + (real,) * 3,
    "_find_outside": lambda real: (array_of(real), bad, real, real),
    "_fill": lambda real: (array_of(real), real),
    "_effective_rates": lambda real: (array_of(real),) * 2 + (real, array_of(real)),
}


def ptx_of(name, real):
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    from numba import cuda

    import numadelta.cuda

    try:
        ptx, _ = cuda.compile_ptx(
            getattr(numadelta.cuda, name).py_func, SIGNATURES[name](real), cc=(8, 0)
        )
    except (ImportError, RuntimeError, OSError) as error:
        pytest.skip(f"NVIDIA's compiler is not there: {error}")
    return ptx


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize("real", [types.float32, types.float64], ids=str)
def test_kernels_compile(name, real):
    assert f".global.f{real.bitwidth}" in ptx_of(name, real)


@pytest.mark.parametrize("name", SIGNATURES)
def test_float32_stays_float32(name):
    assert not re.search(r"\.f64\b", ptx_of(name, types.float32))


def test_root_and_quotient_are_those_of_ieee():
    ptx = ptx_of("_step", types.float32)
    assert "sqrt.rn.f32" in ptx and "div.rn.f32" in ptx
    assert "approx" not in ptx and ".ftz" not in ptx
