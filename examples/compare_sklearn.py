"""Compare the estimators of `numadelta.sklearn` with scikit-learn's own perceptrons.

Six problems, each with the same layers, batches and epochs for both; scikit-learn trains with
Adam.  All else is at its default or, with --tuned, the best of ten settings that each may choose
from, by cross-validation on the training set.

1. Digits: 1,797 images of 8 x 8 pixels.
2. MNIST: 10,000 of the training images, all 60,000 with --full; skipped where it cannot be found.
3. Houses: 20,000 made rows, eight features, a price that is no linear function of them, and noise.
   ADADELTA's steps do not shrink by themselves where the gradients are mostly noise, so it does
   better with the mean of its parameters over the epochs.
4. Topics: 4,000 made documents of 20 classes over 10,000 words, as a sparse matrix.  A tenth of a
   document's words come from 300 rare words of its class, the others from all the language.
   ADADELTA moves rare words slowly, and one E[dx^2] for each layer makes up for that.  With columns
   of deviation one the order is the reverse.
5. Authors: as many documents, but each class uses all words a little more or less often than the
   others do.  Here it is ADADELTA that generalises better.

The scores, accuracy and R^2, are on held-out samples and the mean of three seeds; the seconds are
those of the fastest.

    python examples/compare_sklearn.py [--quick] [--full] [--tuned] [--only NAME]
"""

import argparse
import os
import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.preprocessing import StandardScaler

import numadelta as nd
from numadelta.callbacks import WeightAveraging
from numadelta.sklearn import MLPClassifier, MLPRegressor


class Problem(NamedTuple):
    """Samples for training and test, and the options that both estimators get."""

    name: str
    train: tuple[Any, Any]
    test: tuple[Any, Any]
    epochs: int
    options: dict[str, Any]


def digits() -> Problem:
    """Return the images that scikit-learn has."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    scaler = StandardScaler().fit(X_train)
    train, test = scaler.transform(X_train), scaler.transform(X_test)
    options = {"hidden_layer_sizes": (100,), "batch_size": 50}
    return Problem("digits", (train, y_train), (test, y_test), 30, options)


def mnist(rows: int) -> Problem:
    """Return the first images, standardised as a whole, in float32."""
    (x_train, y_train), (x_test, y_test) = nd.datasets.load_mnist()
    mean, deviation = np.float32(x_train.mean()), np.float32(x_train.std())
    train, test = (
        (x.reshape(len(x), -1).astype(np.float32) - mean) / deviation
        for x in (x_train[:rows], x_test)
    )
    options = {"hidden_layer_sizes": (256,), "batch_size": 100}
    return Problem("MNIST", (train, y_train[:rows]), (test, y_test), 10, options)


def houses(rows: int = 20_000) -> Problem:
    """Return a regression that a network is for: thresholds, products, skewed features, noise."""
    rng = np.random.default_rng(0)
    income = rng.gamma(4, 1, rows)
    age = rng.uniform(1, 52, rows)
    rooms, people = rng.lognormal(1.6, 0.3, rows), rng.lognormal(1, 0.3, rows)
    north, west = rng.uniform(0, 1, (2, rows))
    bedrooms, population = rooms * rng.normal(0.2, 0.03, rows), rng.lognormal(7, 0.7, rows)
    coast = np.exp(-np.abs(west - 0.4 * np.sin(4 * north) - 0.3) * 8)
    cities = np.exp(-30 * ((north - 0.3) ** 2 + (west - 0.6) ** 2))
    price = np.log1p(income) * (1 + coast) + 1.5 * cities + 0.3 * rooms / people
    price += np.where(age < 15, 0.3, 0.0) - 2 * (bedrooms / rooms - 0.2)
    price += rng.normal(0, 0.35, rows)
    X = np.stack([income, age, rooms, bedrooms, population, people, north, west], axis=1)
    X, y = StandardScaler().fit_transform(X), (price - price.mean()) / price.std()
    split = rows * 4 // 5
    options = {"hidden_layer_sizes": (100, 50), "batch_size": 100}
    return Problem("houses", (X[:split], y[:split]), (X[split:], y[split:]), 30, options)


def topics(documents: int = 4000, words: int = 10_000, classes: int = 20) -> Problem:
    """Return documents whose words come from all the language, their class and another class."""
    rng = np.random.default_rng(0)
    zipf = frequencies(words)
    special = np.stack([rng.permutation(words)[:300] for _ in range(classes)])
    y = rng.integers(classes, size=documents)
    other = rng.integers(classes, size=documents)
    rows, columns = [], []
    for k in range(documents):
        length = 20 + rng.poisson(60)
        source = rng.choice(3, size=length, p=[0.84, 0.1, 0.06])
        drawn = [
            rng.choice(words, size=np.sum(source == 0), p=zipf),
            rng.choice(special[y[k]], size=np.sum(source == 1)),
            rng.choice(special[other[k]], size=np.sum(source == 2)),
        ]
        columns.append(np.concatenate(drawn))
        rows.append(np.full(length, k))
    ones = np.ones(sum(map(len, rows)), np.float32)
    counts = sparse.csr_array((ones, (np.concatenate(rows), np.concatenate(columns))))
    counts.resize(documents, words)
    return texts("topics", counts, y)


def authors(documents: int = 4000, words: int = 10_000, classes: int = 20) -> Problem:
    """Return documents of about 80 words, of which each class has its own frequencies."""
    rng = np.random.default_rng(0)
    own = frequencies(words) * np.exp(0.5 * rng.standard_normal((classes, words)))
    own /= own.sum(axis=1, keepdims=True)
    y = rng.integers(classes, size=documents)
    lengths = np.maximum(10, rng.lognormal(np.log(80), 0.7, documents).astype(int))
    counts = [rng.multinomial(n, own[k]) for n, k in zip(lengths, y, strict=True)]
    return texts("authors", sparse.csr_array(np.array(counts, np.float32)), y)


def frequencies(words: int) -> np.ndarray:
    """Return those of Zipf's law, without the few words that are half of a language."""
    zipf = 1 / np.arange(10, words + 10)
    return zipf / zipf.sum()


def texts(name: str, counts: Any, y: np.ndarray) -> Problem:
    """Return a problem made of the counts of words."""
    X = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    split = len(y) * 3 // 4
    options = {"hidden_layer_sizes": (100,), "batch_size": 50}
    return Problem(name, (X[:split], y[:split]), (X[split:], y[split:]), 20, options)


# Ten settings each.
OURS = [
    {"lr": [0.3, 1.0, 3.0]},
    {"callbacks": [[WeightAveraging()]]},
    {"shared_delta": [True]},
    {"shared_delta": [True], "eps": [1e-10, 1e-9, 1e-8, 1e-7, 1e-6], "lr": [5.0]},
]
THEIRS = {"learning_rate_init": [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 3e-3, 5e-3, 7e-3, 1e-2, 2e-2]}


def compare(
    problem: Problem, seeds: int, epochs: int, tuned: bool
) -> list[tuple[float, float, dict[str, Any]]]:
    """Return mean score, least seconds an epoch and what was chosen, ours first."""
    name = "MLPRegressor" if problem.train[1].dtype.kind == "f" else "MLPClassifier"
    ours = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}[name]
    theirs = getattr(neural_network, name)
    # All epochs, whatever the loss does.
    options = {**problem.options, "max_iter": epochs, "n_iter_no_change": np.inf}
    ours(**options | {"max_iter": 1}).fit(*problem.train)  # compiles
    results = []
    for estimator, grid in ((ours, OURS), (theirs, THEIRS)):
        chosen: dict[str, Any] = {}
        if tuned:
            search = GridSearchCV(estimator(random_state=0, **options), grid, cv=3, n_jobs=-1)
            chosen = search.fit(*problem.train).best_params_
        scores, seconds = [], []
        for seed in range(seeds):
            model = estimator(random_state=seed, **options, **chosen)
            started = time.perf_counter()
            model.fit(*problem.train)
            seconds.append((time.perf_counter() - started) / model.n_iter_)
            scores.append(model.score(*problem.test))
        results.append((float(np.mean(scores)), min(seconds), chosen))
    return results


def main(quick: bool, full: bool, tuned: bool, only: str) -> None:
    """Print a table."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    os.environ["PYTHONWARNINGS"] = "ignore"  # in the processes of the search
    words = topics()
    scale = StandardScaler(with_mean=False).fit(words.train[0]).transform
    scaled = words._replace(
        name="topics, sd 1",
        train=(scale(words.train[0]), words.train[1]),
        test=(scale(words.test[0]), words.test[1]),
    )
    problems = [digits(), houses(), words, scaled, authors()]
    rows = 60_000 if full else 2000 if quick else 10_000
    try:
        problems.insert(1, mnist(rows))
    except (OSError, ImportError) as error:
        print(f"without MNIST: {error}")
    problems = [problem for problem in problems if problem.name.startswith(only)]
    print(f"{'':14}  score             seconds an epoch")
    print("problem         ours    sklearn   ours      sklearn   ratio")
    for problem in problems:
        epochs = min(problem.epochs, 3) if quick else problem.epochs
        found = compare(problem, 1 if quick else 3, epochs, tuned)
        (score, seconds, chosen), (other, longer, other_chosen) = found
        print(
            f"{problem.name:14}  {score:.4f}  {other:.4f}    {seconds:.4f}    {longer:.4f}    "
            f"{seconds / longer:.2f}",
            flush=True,
        )
        if tuned:
            print(f"    {_text(chosen)}; {_text(other_chosen)}", flush=True)


def _text(options: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {[type(one).__name__ for one in value] if name == 'callbacks' else value}"
        for name, value in options.items()
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, three epochs, fewer images")
    parser.add_argument("--full", action="store_true", help="all of MNIST")
    parser.add_argument("--tuned", action="store_true", help="each with the best of ten settings")
    parser.add_argument("--only", default="", help="problems whose names begin so")
    main(**vars(parser.parse_args()))
