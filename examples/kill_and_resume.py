"""Kill a training 200 times at random moments, and let it go on each time to the same bits.

The training saves itself after every batch, so that most kills hit a file that is being written.
Children are forked from a process that has imported and compiled everything, for starting Python
takes longer than they live; this needs a POSIX system.

    python examples/kill_and_resume.py [--kills 200] [--seed 0]
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import numadelta as nd

EPOCHS, BATCHES, BATCH_SIZE, ROWS = 30, 6, 20, 110
KEEP = 3


def train(folder: Path | None) -> bytes:
    """Train, from the newest checkpoint in the folder if any; return all bits of the end."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(ROWS + 30, 8)), rng.integers(3, size=ROWS + 30)
    net = nd.MLP((8, 16, 3), dropout=0.2, seed=1)
    stop = nd.callbacks.EarlyStopping("val_loss", patience=EPOCHS)
    checkpoint = folder and nd.Checkpoints(folder, minutes=0, keep=KEEP)
    history = net.fit(
        X[:ROWS],
        y[:ROWS],
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        validation_data=(X[ROWS:], y[ROWS:]),
        callbacks=[stop],
        checkpoint=checkpoint,
        resume=checkpoint is not None,
        verbose=0,
    )
    arrays = (net.theta, net.optimizer.square_avg, net.optimizer.acc_delta)
    figures = (history["loss"], history["val_loss"], stop.best_epoch, stop.wait)
    return b"".join(array.tobytes() for array in arrays) + repr(figures).encode()


def fork(folder: Path, result: Path) -> int:
    """Start a child that trains and writes its bits to a file; return its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        result.write_bytes(train(folder))
        code = 0
    finally:
        os._exit(code)


def count_loadable(folder: Path) -> tuple[int, int]:
    """Return how many checkpoints there are, and how many of them can be loaded."""
    files = list(folder.glob("*.npz"))
    loadable = 0
    for file in files:
        try:
            nd.MLP.load(file)
        except ValueError as error:
            print(error)
        else:
            loadable += 1
    return len(files), loadable


def main(kills: int, seed: int) -> int:
    """Kill, count and compare; return the exit status."""
    moments = random.Random(seed)
    started = time.perf_counter()
    expected = train(None)
    killed = within_epoch = files = loadable = trainings = equal = 0
    leftovers: set[Path] = set()
    with tempfile.TemporaryDirectory() as name:
        timed = time.perf_counter()
        train(Path(name, "timed"))
        life = time.perf_counter() - timed
        while killed < kills or not trainings:
            folder, result = Path(name, f"run{trainings}"), Path(name, f"result{trainings}")
            code = -1
            while code:
                child, ended = fork(folder, result), 0
                while not any(folder.glob("step-*.npz")) and not ended:
                    time.sleep(0.001)
                    ended, status = os.waitpid(child, os.WNOHANG)
                if not ended:
                    if killed < kills:
                        time.sleep(moments.random() * life / 8)
                        os.kill(child, signal.SIGKILL)
                    status = os.waitpid(child, 0)[1]
                code = os.waitstatus_to_exitcode(status)
                if code > 0 or not any(folder.glob("step-*.npz")):
                    print("a training failed")
                    return 1
                if code:
                    killed += 1
                    found, good = count_loadable(folder)
                    files, loadable = files + found, loadable + good
                    newest = nd.Checkpoints(folder).files()[0]
                    within_epoch += int(newest.stem.removeprefix("step-")) % BATCHES > 0
                    leftovers |= set(folder.glob(".*"))
            trainings += 1
            equal += result.read_bytes() == expected
    for name, value in {
        "kills": killed,
        "trainings brought to their end": trainings,
        "in the middle of an epoch": within_epoch,
        "within a write": f"{len(leftovers)}, which left a temporary file",
        "files found loadable": f"{loadable} of {files}",
        "final bits equal": "yes" if equal == trainings else f"NO, in {equal} of {trainings}",
        "seconds": round(time.perf_counter() - started),
    }.items():
        print(f"{name:30} {value}")
    return 0 if equal == trainings and loadable == files else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the moments, as far as they repeat")
    if not hasattr(os, "fork"):
        sys.exit("This example needs os.fork, which only POSIX systems have.")
    # Python warns of any fork of a process with threads, here those of the BLAS.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    sys.exit(main(**vars(parser.parse_args())))
