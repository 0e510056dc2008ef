"""Interpreter flags, environment variables and the state of the disk cache change no result."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numba import config

import numadelta as nd
from numadelta import jit, kernels

SCRIPT = """
    import numpy as np
    import numadelta as nd

    x = np.linspace(1, 2, 100)
    opt = nd.Adadelta(x, weight_decay=0.1)
    for _ in range(3):
        opt.step(x / 2)
    for wrong in (np.ones(3), np.ones(100, int), np.full(100, np.nan), x):
        try:
            opt.step(wrong)
        except (TypeError, ValueError):
            continue
        print("not refused:", wrong)
    print(x.tobytes().hex())
"""

compiled = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled or cached")


def assert_right(output):
    x = np.linspace(1, 2, 100)
    opt = nd.Adadelta(x, weight_decay=0.1)
    for _ in range(3):
        opt.step(x / 2)
    np.testing.assert_allclose(np.frombuffer(bytes.fromhex(output)), x, rtol=1e-15)


@pytest.mark.parametrize("flags", [["-O", "-W", "error"], ["-I"]], ids=" ".join)
def test_interpreter_flags(python, flags):
    assert_right(python(SCRIPT, *flags))


def test_one_thread(python):
    script = """
    from numadelta import threads
    threads.MIN_BYTES, threads.SLICE = 10, 10
    assert nd.get_num_threads() == 1
    try:
        nd.set_num_threads(2)
    except ValueError as error:
        assert "from 1 to 1" in str(error)
    """
    assert_right(python(SCRIPT + script, NUMBA_NUM_THREADS="1"))


@compiled
def test_bounds_checks(python, tmp_path):
    assert_right(python(SCRIPT, NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path)))


@compiled
def test_without_jit(python):
    assert_right(python(SCRIPT, NUMBA_DISABLE_JIT="1"))


# The disk cache


@compiled
def test_two_processes_and_two_threads_may_compile_the_same_at_the_same_time(python, tmp_path):
    script = """
    import threading
    import numpy as np
    import numadelta as nd

    begin = threading.Barrier(2)
    xs = np.ones((2, 100))

    def work(x):
        begin.wait()
        nd.Adadelta(x).step(np.ones(100))

    threads = [threading.Thread(target=work, args=(x,)) for x in xs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(np.unique(xs))
    """
    folder = tmp_path / "not" / "yet"
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(python, script, NUMBA_CACHE_DIR=str(folder)) for _ in range(2)]
    assert [call.result() for call in calls] == ["[0.99552791]"] * 2
    assert list(folder.rglob("*.nbc"))


@compiled
def test_without_any_folder_to_write_to_everything_is_compiled_again(python, tmp_path):
    """Here a file is in the way of each folder: permissions would not stop an administrator."""
    package = tmp_path / "site" / "numadelta"
    skipped = shutil.ignore_patterns("__pycache__", "bench")
    shutil.copytree(Path(kernels.__file__).parent, package, ignore=skipped)
    (package / "__pycache__").touch()
    (blocked := tmp_path / "blocked").touch()
    folders = dict.fromkeys(
        ["HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"],
        str(blocked / "folder"),
    )
    script = (
        SCRIPT + "    assert 'site' in nd.__file__ and nd.kernels.step.stats.cache_path is None"
    )
    assert_right(python(script, PYTHONPATH=str(package.parent), **folders))


def double(x):
    return 2 * x


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def cache_hits():
    """Call `double` as a new process would; tell how often the cache had it."""
    loop = jit.loop(double)
    assert loop(21) == 42
    return sum(loop.stats.cache_hits.values())


@compiled
@pytest.mark.parametrize("pattern", ["*.nbi", "*.nbc"])
@pytest.mark.parametrize("damage", [b"", b"junk", b"\x80\x04N."])
def test_a_damaged_cache_is_written_anew(cache_folder, pattern, damage):
    assert [cache_hits(), cache_hits()] == [0, 1]
    (path,) = cache_folder.rglob(pattern)
    path.write_bytes(damage)
    assert [cache_hits(), cache_hits()] == [0, 1]


@compiled
def test_a_full_disk_costs_only_the_cache(cache_folder, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert [cache_hits(), cache_hits()] == [0, 0]
