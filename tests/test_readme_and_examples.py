"""What the README prints and what the examples do is run, with small settings."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numba
import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")

slow_without_jit = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="compiled loops take minutes in plain Python"
)
needs_mnist = pytest.mark.skipif(
    not os.environ.get("NUMADELTA_DATA"), reason="NUMADELTA_DATA names no folder with MNIST"
)


def run_example(name, *arguments, folder):
    pytest.importorskip("matplotlib")
    process = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "agg", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@slow_without_jit
@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README + GUIDE, re.DOTALL))
def test_python_blocks_of_readme_and_guide_run(block, tmp_path):
    pytest.importorskip("sklearn")
    script = tmp_path / "block.py"
    script.write_text(block, encoding="utf-8")
    runpy.run_path(str(script))


def test_readme_names_every_example():
    assert all(name.stem in README for name in EXAMPLES.glob("*.py"))


@needs_mnist
@slow_without_jit
def test_train_mnist_reports_accuracy_and_draws(tmp_path):
    out = run_example(
        "train_mnist.py", "--epochs", 1, "--rows", 2000, "--plot", "m.png", folder=tmp_path
    )
    assert float(re.search(r"test accuracy ([\d.]+)%", out)[1]) > 80
    assert (tmp_path / "m.png").stat().st_size > 5000


@needs_mnist
@slow_without_jit
def test_paper_mnist_prints_the_mean_error(tmp_path):
    out = run_example(
        "paper_mnist.py", "--epochs", 1, "--rows", 2000, "--seeds", 1, folder=tmp_path
    )
    assert float(re.search(r"mean of 1 seeds: ([\d.]+) %", out)[1]) < 25


@needs_mnist
@slow_without_jit
def test_paper_mnist_draws_the_table(tmp_path):
    out = run_example("paper_mnist.py", "--epochs", 1, "--rows", 300, "--table", folder=tmp_path)
    assert out.count("%") == 12
    assert (tmp_path / "rho_eps.png").stat().st_size > 5000


@slow_without_jit
def test_synthetic_classifier_learns(tmp_path):
    out = run_example("synthetic_classifier.py", "--epochs", 8, folder=tmp_path)
    assert float(re.search(r"test +accuracy ([\d.]+)%", out)[1]) > 80


@slow_without_jit
def test_effective_rates_draws_both_rates(tmp_path):
    out = run_example("effective_rates.py", "--epochs", 3, folder=tmp_path)
    adagrad = [float(x) for x in re.search(r"Adagrad.*\[(.*)\]", out)[1].split()]
    assert max(adagrad) < 1
    assert (tmp_path / "effective_rates.png").stat().st_size > 5000


@slow_without_jit
def test_step_in_your_own_njit_learns(tmp_path):
    out = run_example("step_in_your_own_njit.py", folder=tmp_path)
    losses = [float(x) for x in re.findall(r"loss ([\d.]+)", out)]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.3
    assert float(re.search(r"steps: ([\d.e-]+)", out)[1]) < 0.1


@slow_without_jit
def test_paths_draws_all_methods(tmp_path):
    out = run_example("paths.py", "--maxiter", 50, "--plot", "p.png", folder=tmp_path)
    ends = re.findall(r"numadelta +(\d+) evaluations, f = +([\d.e-]+)", out)
    assert len(ends) == 3
    assert all(int(count) < 200 and float(value) < 1e-8 for count, value in ends)
    assert (tmp_path / "p.png").stat().st_size > 5000


@slow_without_jit
def test_compare_minimizers_counts_and_draws(tmp_path):
    out = run_example("compare_minimizers.py", "--quick", "--plot", "p", folder=tmp_path)
    solved = re.search(r"numadelta +(\d+) +(\d+)", out[out.index("solved within") :])
    assert int(solved[1]) >= int(solved[2]) > 3
    assert len(list((tmp_path / "p").glob("*.png"))) == 2


@slow_without_jit
def test_noisy_minibatch_comes_closer_than_lbfgsb(tmp_path):
    out = run_example("noisy_minibatch.py", "--maxiter", 3000, folder=tmp_path)
    above = {
        name: float(re.search(rf"{name} +[\d.]+ +([\d.e+-]+)", out)[1])
        for name in ("L-BFGS-B", "ADADELTA", "averaging")
    }
    assert above["averaging"] < above["ADADELTA"] < above["L-BFGS-B"]


@slow_without_jit
def test_fit_image_agrees_with_curve_fit(tmp_path):
    out = run_example(
        "fit_image.py", "--size", 48, "--sample", 20, "--plot", "f.png", folder=tmp_path
    )
    differences = re.findall(r"largest relative difference ([\d.e+-]+)", out)
    assert len(differences) == 2
    assert max(map(float, differences)) < 1e-4
    assert (tmp_path / "f.png").stat().st_size > 5000


@slow_without_jit
def test_multi_start_finds_the_best_arrangement(tmp_path):
    out = run_example("multi_start.py", "--starts", 300, folder=tmp_path)
    assert re.findall(r"best (-[\d.]+)", out) == ["-16.505384"] * 2


@slow_without_jit
def test_compare_sklearn_prints_both(tmp_path):
    pytest.importorskip("sklearn")
    out = run_example("compare_sklearn.py", "--quick", folder=tmp_path)
    ours, theirs = re.search(r"^digits +([\d.]+) +([\d.]+)", out, re.MULTILINE).groups()
    assert min(float(ours), float(theirs)) > 0.8


@slow_without_jit
def test_compare_sklearn_chooses_settings_for_both(tmp_path):
    pytest.importorskip("sklearn")
    out = run_example("compare_sklearn.py", "--quick", "--tuned", "--only=digits", folder=tmp_path)
    ours, theirs = out.splitlines()[-1].split(";")
    assert set(re.findall(r"(\w+) ", ours)) <= {"callbacks", "eps", "lr", "shared_delta"}
    assert re.search(r"learning_rate_init [\d.]+", theirs)


@needs_mnist
@slow_without_jit
def test_dropout_mnist_draws_four_pictures(tmp_path):
    out = run_example(
        "dropout_mnist.py", "--epochs", 1, "--rows", 1000, "--plot", "p", folder=tmp_path
    )
    assert float(re.search(r"test accuracy ([\d.]+)%", out)[1]) > 50
    assert len(list((tmp_path / "p").glob("*.png"))) == 4


@slow_without_jit
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_and_resume_ends_with_the_same_bits(tmp_path):
    out = run_example("kill_and_resume.py", "--kills", 20, folder=tmp_path)
    assert re.search(r"final bits equal +yes", out)


@slow_without_jit
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_and_resume_ends_if_a_training_dies_before_its_first_checkpoint(python):
    script = f"""
    import os, signal, sys
    sys.path.insert(0, {str(EXAMPLES)!r})
    import kill_and_resume

    def train_or_die(folder, parent=os.getpid(), train=kill_and_resume.train):
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return train(folder)

    kill_and_resume.train = train_or_die
    print(kill_and_resume.main(1, 0))
    """
    assert python(script, "-Wignore::DeprecationWarning").split("\n")[-1] == "1"


@slow_without_jit
def test_torch_on_gpu_takes_the_steps_of_pytorch_also_without_a_gpu(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    out = run_example("torch_on_gpu.py", folder=tmp_path)
    single, double = (float(x) for x in re.findall(r"at the end ([\d.e-]+) apart", out))
    assert double < 1e-12 and single < 1
