"""SIGKILL at random moments: a good checkpoint is always there, and the end has the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import killed_training
import numadelta as nd

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no such signals here")

SCRIPT = Path(killed_training.__file__)


def run(*arguments):
    # Python warns of any fork of a process with threads, here those of the BLAS.
    return subprocess.run(
        [sys.executable, "-Wignore::DeprecationWarning", SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize("signals", [["SIGKILL"], ["SIGTERM", "SIGINT"]], ids="-".join)
def test_signals_at_random_moments_cost_nothing(tmp_path, signals):
    done = run(tmp_path, "--kills", 12, "--signals", *signals)
    assert done.returncode == 0, done.stderr
    # Python 3.13 itself complains where a signal meets the making of an archive's member.
    assert done.stderr == "" or "_ZipWriteFile" in done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["kills"] for report in reports] == [12] * len(signals)
    assert all(report["trainings"] >= 1 and report["loaded"] >= 12 for report in reports)


def test_a_kill_of_a_process_that_shares_nothing_costs_nothing(tmp_path):
    folder, result = tmp_path / "run", tmp_path / "result"
    with subprocess.Popen([sys.executable, SCRIPT, folder, result]) as child:
        while len(nd.Checkpoints(folder).files()) < killed_training.KEEP and child.poll() is None:
            time.sleep(0.001)
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert killed_training.load_newest(folder)
    assert killed_training.train(folder) == killed_training.train(None)
