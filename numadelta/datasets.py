"""MNIST and Fashion-MNIST: found, verified and, if need be, downloaded.

No file is trusted: a data set is used only if its hashes are the known ones.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from numadelta.idx import DatasetError, is_gzipped, read_and_hash, read_idx

__all__ = ["DatasetError", "load_fashion_mnist", "load_mnist", "read_idx"]


@dataclass(frozen=True)
class _Dataset:
    """Where the four files of a data set are, and how they are known."""

    title: str
    loader: str
    folder: str
    variable: str
    mirrors: tuple[str, ...]
    hashes: dict[str, str]
    # Either SHA-256 of the uncompressed content, so that a plain copy and a re-compressed one pass
    # as the original does, or MD5 of the gzipped file, where nothing else is published.
    hashes_are_md5: bool = False


_MNIST = _Dataset(
    title="MNIST",
    loader="load_mnist",
    folder="mnist",
    variable="NUMADELTA_DATA",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    hashes={
        "train-images-idx3-ubyte": (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": (
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte": (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte": (
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    },
)

_FASHION_MNIST = _Dataset(
    title="Fashion-MNIST",
    loader="load_fashion_mnist",
    folder="fashion-mnist",
    variable="NUMADELTA_FASHION_DATA",
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    hashes={
        "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    hashes_are_md5=True,
)

_Array = NDArray[np.uint8]
_Split = tuple[_Array, _Array]


def load_mnist(
    data_dir: str | os.PathLike[str] | None = None, download: bool = True
) -> tuple[_Split, _Split]:
    """Load the MNIST handwritten digits.

    The four files are taken from the first of these places that applies:

    1. the folder `data_dir`;
    2. the folder named by the environment variable ``NUMADELTA_DATA``;
    3. the user's cache folder (on Linux ``~/.cache/numadelta/mnist``), into
       which files that it lacks are downloaded.

    The first two are explicit: a file they lack is an error, and is neither
    looked for elsewhere nor downloaded.

    Parameters
    ----------
    data_dir : path-like, optional
        Folder that holds the four files, under their original names
        (``train-images-idx3-ubyte``, ...) or with a dot before ``idx``, each
        with or without ``.gz``.
    download : bool, default True
        Whether to download what the cache folder lacks. Needs pooch:
        ``pip install numadelta[datasets]``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuple of ndarray of uint8
        Images of shapes (60000, 28, 28) and (10000, 28, 28), with values from
        0 to 255; labels of shapes (60000,) and (10000,), from 0 to 9.

    Raises
    ------
    DatasetError
        If a file is damaged or is not the MNIST file of its name.
    FileNotFoundError
        If a file is missing from an explicit folder, or is missing from the
        cache folder and cannot be downloaded into it.
    ImportError
        If a file has to be downloaded and pooch is not installed.

    Examples
    --------
    >>> from numadelta.datasets import load_mnist
    >>> (x_train, y_train), (x_test, y_test) = load_mnist()  # doctest: +SKIP
    >>> x_train.shape, y_train.shape  # doctest: +SKIP
    ((60000, 28, 28), (60000,))
    """
    return _load(_MNIST, data_dir, download)


def load_fashion_mnist(
    data_dir: str | os.PathLike[str] | None = None, download: bool = True
) -> tuple[_Split, _Split]:
    """Load the Fashion-MNIST pictures of clothes, which are harder to tell apart than digits.

    As `load_mnist`, with the environment variable ``NUMADELTA_FASHION_DATA`` and
    the cache folder ``fashion-mnist`` (on Linux ``~/.cache/numadelta/fashion-mnist``).
    One thing differs: the publishers give the MD5 of the gzipped files only, so
    plain or re-compressed copies cannot be checked and are refused.

    Parameters
    ----------
    data_dir : path-like, optional
        Folder that holds the four gzipped files, which have the names of those
        of MNIST.
    download : bool, default True
        Whether to download what the cache folder lacks. Needs pooch:
        ``pip install numadelta[datasets]``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuple of ndarray of uint8
        Images of shapes (60000, 28, 28) and (10000, 28, 28), with values from
        0 to 255; labels of shapes (60000,) and (10000,): 0 T-shirt/top,
        1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker,
        8 bag, 9 ankle boot.

    Raises
    ------
    DatasetError
        If a file is damaged or is not the Fashion-MNIST file of its name.
    FileNotFoundError
        If a file is missing from an explicit folder, or is missing from the
        cache folder and cannot be downloaded into it.
    ImportError
        If a file has to be downloaded and pooch is not installed.

    Examples
    --------
    >>> from numadelta.datasets import load_fashion_mnist
    >>> (x_train, y_train), (x_test, y_test) = load_fashion_mnist()  # doctest: +SKIP
    >>> x_test.shape, y_test.shape  # doctest: +SKIP
    ((10000, 28, 28), (10000,))
    """
    return _load(_FASHION_MNIST, data_dir, download)


def _load(
    dataset: _Dataset, data_dir: str | os.PathLike[str] | None, download: bool
) -> tuple[_Split, _Split]:
    # All files are found before any is read: reading is the slow part.
    paths = {name: _locate(name, dataset, data_dir, download) for name in dataset.hashes}
    return _load_split("train", dataset, paths), _load_split("t10k", dataset, paths)


def _load_split(prefix: str, dataset: _Dataset, paths: dict[str, Path]) -> _Split:
    images_name, labels_name = f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"
    images_path, labels_path = paths[images_name], paths[labels_name]
    try:
        images = _read_known(images_path, images_name, dataset)
        labels = _read_known(labels_path, labels_name, dataset)
    except DatasetError as error:
        raise DatasetError(
            f"{error}. Delete the file and take it anew from {' or '.join(dataset.mirrors)}; "
            f"{dataset.loader} does so itself for a file missing from its cache folder."
        ) from error
    _check_pair(images, labels, images_path, labels_path)
    return images, labels


def _check_pair(images: _Array, labels: _Array, images_path: Path, labels_path: Path) -> None:
    """Raise DatasetError unless every image has a label from 0 to 9."""
    pair = f"{images_path} and {labels_path} do not belong together"
    if len(images) != len(labels):
        raise DatasetError(f"{pair}: {len(images)} images, {len(labels)} labels")
    wrong = np.flatnonzero(labels > 9)
    if wrong.size:
        raise DatasetError(f"{pair}: label {wrong[0]} is {labels[wrong[0]]}, not a digit")


def _read_known(path: Path, name: str, dataset: _Dataset) -> _Array:
    """Read the file at `path`, which must be the file `name` of the data set."""
    expected = dataset.hashes[name]
    with open(path, "rb") as file:
        if dataset.hashes_are_md5:
            _check_md5(file, name, expected)
        try:
            array, digest = read_and_hash(file)
        except DatasetError as error:
            with open(path, "rb") as whole:
                digest = hashlib.file_digest(whole, "sha256").hexdigest()
            raise DatasetError(
                f"{error}; the SHA-256 of the file is {digest}, expected {expected} for {name} "
                "(uncompressed)"
            ) from error
    if not dataset.hashes_are_md5 and digest != expected:
        raise DatasetError(
            f"{path}: the SHA-256 of the uncompressed content is {digest}, "
            f"expected {expected} for {name}"
        )
    return array


def _check_md5(file: io.BufferedReader, name: str, expected: str) -> None:
    # Said to be no matter of security: Python refuses MD5 where FIPS rules otherwise.
    digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    file.seek(0)
    if digest == expected:
        return
    reason = "" if is_gzipped(file) else "; it is not gzipped, and a plain copy cannot be checked"
    raise DatasetError(
        f"{file.name}: the MD5 of the file is {digest}, expected {expected} for {name}.gz{reason}"
    )


def _locate(
    name: str, dataset: _Dataset, data_dir: str | os.PathLike[str] | None, download: bool
) -> Path:
    """Return the path of the file `name` of the data set, after downloading it if need be."""
    if not isinstance(data_dir, str | os.PathLike | None):
        raise TypeError(f"data_dir must be a path, but is {data_dir!r}")
    if data_dir is not None:
        folder, setting = Path(data_dir), "the argument data_dir"
    elif value := os.environ.get(dataset.variable):
        folder, setting = Path(value), f"the environment variable {dataset.variable}"
    else:
        try:
            folder, setting = _cache_folder() / dataset.folder, None
        except RuntimeError as error:
            raise FileNotFoundError(
                f"there is no home folder, so no cache; set {dataset.variable} to a folder with "
                f"the {dataset.title} files"
            ) from error
    # Not Path.expanduser, to which the name of no user is an error.
    folder = Path(os.path.expanduser(folder))

    dotted = name.replace("-idx", ".idx")
    candidates = (f"{name}.gz", name, f"{dotted}.gz", dotted)
    for candidate in candidates:
        path = folder / candidate
        # A home that must not be entered has no cache; with a folder that was named it is an error.
        found = os.path.isfile(path) if setting is None else path.is_file()
        if found:
            return path

    missing = f"found none of {', '.join(candidates)} in {folder}"
    if setting is not None:
        raise FileNotFoundError(f"{missing}, the folder given by {setting}")
    if not download:
        raise FileNotFoundError(f"{missing}, and download is off; {_remedy(dataset, folder)}")
    return _download(name, dataset, folder)


def _cache_folder() -> Path:
    """Return what pooch.os_cache gives, for use without pooch."""
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local, "numadelta", "numadelta", "Cache")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "numadelta"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "numadelta")


def _download(name: str, dataset: _Dataset, folder: Path) -> Path:
    """Download the file `name` into `folder` from the first mirror that has it."""
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            "downloading needs pooch: pip install numadelta[datasets]; "
            f"else {_remedy(dataset, folder)}"
        ) from error

    http = pooch.HTTPDownloader(timeout=10)

    def fetch(url: str, part: str, manager: object) -> None:
        # Checked here, while the file still has pooch's temporary name, so
        # that only good content is ever renamed into the cache.
        http(url, part, manager)
        _read_known(Path(part), name, dataset)

    file_name = f"{name}.gz"
    failures = []
    logger = pooch.get_logger()
    # Not setLevel: two threads that set it and put it back can leave it changed.
    silence = logging.Filter("no logger has this name")
    logger.addFilter(silence)
    try:
        for mirror in dataset.mirrors:
            url = mirror + file_name
            try:
                return Path(pooch.retrieve(url, None, file_name, folder, downloader=fetch))
            except (OSError, DatasetError) as error:
                failures.append(f"\n  {url}: {error}")
    finally:
        logger.removeFilter(silence)
    raise FileNotFoundError(
        f"could not download {file_name} into the cache folder {folder}; "
        f"{_remedy(dataset, folder)}.\nTried:{''.join(failures)}"
    )


def _remedy(dataset: _Dataset, folder: Path) -> str:
    return (
        f"set {dataset.variable} to a folder with the {dataset.title} files, "
        f"or put them in {folder}"
    )
