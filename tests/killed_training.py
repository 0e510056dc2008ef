"""A tiny training that is killed again and again, and goes on each time.

    python killed_training.py FOLDER RESULT        # trains to the end, unless it is killed
    python killed_training.py FOLDER --kills 12    # kills children that do that; prints reports

The second form forks, so that children need not import and load compiled code: that takes longer
than they live.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

import numadelta as nd

EPOCHS = 30
BATCHES = 5
KEEP = 3
INTERRUPTED = 3


def train(folder, epochs=EPOCHS):
    """Train from where the files in a folder are, or without any; return all bits of the end.

    None if it was interrupted.
    """
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(43, 4)), rng.integers(3, size=43)
    net = nd.MLP((4, 8, 3), dropout=0.3, seed=1)
    early = nd.callbacks.EarlyStopping(patience=10**6)
    saving = {}
    if folder is not None:
        checkpoint = nd.Checkpoints(folder, minutes=0, keep=KEEP)
        saving = {"checkpoint": checkpoint, "resume": True}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "interrupted by", RuntimeWarning)
        history = net.fit(
            X[:35],
            y[:35],
            epochs=epochs,
            batch_size=7,
            validation_data=(X[35:], y[35:]),
            callbacks=[early],
            lr=lambda epoch: 0.95**epoch,
            verbose=0,
            **saving,
        )
    if history.interrupted:
        return None
    figures = {name: values for name, values in history.history.items() if name != "seconds"}
    arrays = (net.theta, net.optimizer.square_avg, net.optimizer.acc_delta)
    state = repr((figures, history.epoch, early.best, early.best_epoch, early.wait))
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays) + state.encode()).hexdigest()


def train_and_tell(folder, result):
    """Write the bits of the end to a file, whole or not at all."""
    bits = train(folder)
    if bits is None:
        sys.exit(INTERRUPTED)
    with tempfile.NamedTemporaryFile("w", dir=Path(result).parent, delete=False) as file:
        file.write(bits)
    os.replace(file.name, result)


def forked(folder, result):
    """Return the number of a child that trains."""
    child = os.fork()
    if child:
        return child
    try:
        train_and_tell(folder, result)
        os._exit(0)
    except (KeyboardInterrupt, SystemExit):
        os._exit(INTERRUPTED)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def load_newest(folder):
    """Load the newest file, and tell whether there is any: its writer may be at work."""
    while files := nd.Checkpoints(folder).files():
        try:
            nd.MLP.load(files[0])
        except FileNotFoundError:  # KEEP newer ones have come since
            continue
        return True
    return False


def temporaries(folder):
    """Return the hidden files in a folder."""
    return {path for path in Path(folder).glob(".*")}


def kill_often(folder, kills, seed=0, number=signal.SIGKILL):
    """Kill trainings at random moments of their lives until so many are killed; return counts.

    The gentler signals let them end, and must leave no temporary file.
    """
    moments = random.Random(seed)
    expected = train(None)
    began = time.perf_counter()
    assert train(Path(folder) / "timed") == expected
    life = time.perf_counter() - began
    report = {"kills": 0, "trainings": 0, "within_epoch": 0, "within_write": 0, "loaded": 0}
    while report["kills"] < kills or report["trainings"] == 0:
        run, result = Path(folder) / f"run{report['trainings']}", Path(folder) / "result"
        while not result.exists():
            before = temporaries(run)
            child, ended = forked(run, result), 0
            while not load_newest(run) and not ended:
                time.sleep(0.0005)
                ended, status = os.waitpid(child, os.WNOHANG)
            doomed = report["kills"] < kills and not ended
            end = time.perf_counter() + moments.random() * life / 4
            while doomed and time.perf_counter() < end:
                assert load_newest(run)
                report["loaded"] += 1
            if doomed:
                os.kill(child, number)
            if not ended:
                status = os.waitpid(child, 0)[1]
            code = os.waitstatus_to_exitcode(status)
            gentle = number != signal.SIGKILL
            assert code in (0, -number, *[INTERRUPTED] * gentle), code
            if code == 0:  # it was done before
                continue
            report["kills"] += 1
            files = nd.Checkpoints(run).files()
            assert 1 <= len(files) <= KEEP + 1  # killed before an old one was removed
            for file in (*files, run / "best.npz"):
                if file.exists():
                    nd.MLP.load(file)
                    report["loaded"] += 1
            report["within_epoch"] += int(files[0].stem.removeprefix("step-")) % BATCHES > 0
            left = temporaries(run)
            report["within_write"] += len(left - before)
            assert not (gentle and left - before)
            for path in left:  # as if an hour had passed: the next to write removes them
                os.utime(path, (0, time.time() - 3600))
        assert result.read_text() == expected, "other bits"
        assert not temporaries(run)
        assert sorted(path.name for path in run.iterdir()) == [
            "best.npz",
            *(f"step-{EPOCHS * BATCHES - k:012d}.npz" for k in reversed(range(KEEP))),
        ]
        result.unlink()
        report["trainings"] += 1
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("result", nargs="?")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signals", nargs="+", default=["SIGKILL"])
    options = parser.parse_args()
    if options.kills is None:
        train_and_tell(options.folder, options.result)
    else:
        for name in options.signals:
            folder = Path(options.folder) / name
            folder.mkdir()
            report = kill_often(folder, options.kills, options.seed, signal.Signals[name])
            print(json.dumps(report))
