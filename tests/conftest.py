"""What several test files need: a fresh interpreter, and threads wherever the tests run."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from numadelta import threads


@pytest.fixture
def python(tmp_path):
    """Run a script in another interpreter, which must end well and without a word on stderr."""

    def run(script: str, *flags: str, folder=tmp_path, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, *flags, "-c", textwrap.dedent(script)],
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.strip()

    return run
