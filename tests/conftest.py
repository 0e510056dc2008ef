"""What several test files need: a fresh interpreter, and threads wherever the tests run."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap

import pytest

from numadelta import threads
from saved_network import make_net


@pytest.fixture
def python(tmp_path):
    """Run a script in another interpreter, which must end well and without a word on stderr."""

    numbers = itertools.count()

    def run(script: str, *flags: str, **environment: str) -> str:
        path = tmp_path / f"script{next(numbers)}.py"
        path.write_text(textwrap.dedent(script), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, *flags, str(path)],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture
def four_threads(monkeypatch):
    """Let four threads share a step of a hundred elements, also where there is one core."""
    monkeypatch.setattr(threads, "MIN_BYTES", 256)
    monkeypatch.setattr(threads, "SLICE", 16)
    monkeypatch.setattr(threads, "_max_threads", lambda: 4)
    monkeypatch.setattr(threads, "_num_threads", 4)


@pytest.fixture
def path(tmp_path):
    """Return the path of a saved network."""
    make_net().save(tmp_path / "net.npz")
    return tmp_path / "net.npz"


@pytest.fixture
def quick(monkeypatch):
    """Leave the disk out of tests that write thousands of files."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
