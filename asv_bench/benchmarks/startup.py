"""Imports and first calls, each in a fresh process."""

import os
import subprocess
import sys

import numadelta as nd

from . import need

FIRST_STEP = """
import numpy as np
import numadelta as nd
nd.Adadelta(np.ones(1000)).step(np.ones(1000))
"""


class Import:
    """``import numadelta`` should cost no more than ``import numpy``, and compile nothing."""

    version = "1"
    number, repeat, rounds = 1, (3, 10, 10.0), 2

    def timeraw_numadelta(self):
        return "import numadelta"

    def timeraw_numadelta_with_kernels(self):
        return "from numadelta import Adadelta"

    def timeraw_numpy(self):
        return "import numpy"

    def timeraw_numba(self):
        return "import numba"


class FirstMinimize:
    """The first `minimize` of a new objective, beyond compiling that, with a warm disk cache."""

    version = "1"
    timeout = 120

    def setup(self):
        need(nd, "minimize_batch")

    def track_beyond_compiling(self):
        from statistics import median

        from numadelta.bench.first_call import first_call

        return median(first_call("beyond", quick=False)["samples"])

    track_beyond_compiling.unit = "s"


class FirstStep:
    """From nothing to the first step, with Numba's disk cache empty or filled."""

    version = "1"
    number, repeat, rounds = 1, (2, 5, 30.0), 1
    timeout = 120

    def setup_cache(self):
        # asv keeps the current folder, a temporary one, until the benchmarks of this class end.
        folder = os.path.abspath("filled")
        environ = os.environ | {"NUMBA_CACHE_DIR": folder}
        subprocess.run([sys.executable, "-c", FIRST_STEP], env=environ, check=True)
        return folder

    def timeraw_cold(self, folder):
        return f"""
import os, tempfile
with tempfile.TemporaryDirectory() as folder:
    os.environ["NUMBA_CACHE_DIR"] = folder
    {FIRST_STEP.strip().replace(chr(10), chr(10) + "    ")}
"""

    def timeraw_warm(self, folder):
        return f"""
import os
os.environ["NUMBA_CACHE_DIR"] = {folder!r}
{FIRST_STEP.strip()}
"""
