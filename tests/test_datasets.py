"""What `numadelta.datasets` promises, on tiny files and without a network."""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import struct
import sys
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from numadelta import datasets
from numadelta.datasets import DatasetError, load_mnist, read_idx

try:
    import pooch
except ImportError:
    pooch = None

REAL_MNIST = os.environ.get("NUMADELTA_DATA")
TRAIN_IMAGES = "train-images-idx3-ubyte"

PAGE = b"<!DOCTYPE html><title>502 Bad Gateway</title>"


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


ARRAY = np.arange(6, dtype=np.uint8).reshape(2, 3)
CONTENT = idx(ARRAY)
PACKED = gzip.compress(CONTENT)

TINY_MNIST = {
    TRAIN_IMAGES: np.arange(12, dtype=np.uint8).reshape(3, 2, 2),
    "train-labels-idx1-ubyte": np.array([7, 0, 9], np.uint8),
    "t10k-images-idx3-ubyte": np.arange(8, dtype=np.uint8).reshape(2, 2, 2),
    "t10k-labels-idx1-ubyte": np.array([1, 2], np.uint8),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Leave an absent cache folder as the only place, and nothing to download with."""
    folder = tmp_path / "home" / "mnist"
    monkeypatch.delenv("NUMADELTA_DATA", raising=False)
    monkeypatch.setattr(datasets, "_cache_folder", lambda: folder)
    monkeypatch.setitem(sys.modules, "pooch", None)
    return folder


@pytest.fixture(autouse=True)
def tiny_registry(monkeypatch):
    """Put the hashes of TINY_MNIST in place of those of the real files."""
    for name, array in TINY_MNIST.items():
        monkeypatch.setitem(datasets._SHA256, name, hashlib.sha256(idx(array)).hexdigest())


@pytest.fixture
def mirror(monkeypatch):
    """Let pooch download from a function of the URL instead of from the network."""
    if pooch is None:
        pytest.skip("pooch is not installed")
    monkeypatch.setitem(sys.modules, "pooch", pooch)

    def serve(respond: Callable[[str], bytes]) -> None:
        def download(url, output_file, manager):
            Path(output_file).write_bytes(respond(url))

        monkeypatch.setattr(pooch, "HTTPDownloader", lambda *, timeout: download)

    return serve


def original(url: str) -> bytes:
    return gzip.compress(idx(TINY_MNIST[Path(url).stem]))


def offline(url: str) -> bytes:
    raise ConnectionError("no route to host")


def put_tiny_mnist(folder: Path, rename=lambda name: f"{name}.gz", pack=gzip.compress) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in TINY_MNIST.items():
        (folder / rename(name)).write_bytes(pack(idx(array)))
    return folder


def assert_is_tiny_mnist(loaded) -> None:
    (x_train, y_train), (x_test, y_test) = loaded
    for found, expected in zip(
        (x_train, y_train, x_test, y_test), TINY_MNIST.values(), strict=True
    ):
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# The real files


@pytest.mark.skipif(not REAL_MNIST, reason="NUMADELTA_DATA does not name the MNIST folder")
def test_real_mnist_loads(monkeypatch):
    monkeypatch.undo()
    (x_train, y_train), (x_test, y_test) = load_mnist()
    assert (x_train.shape, y_train.shape) == ((60000, 28, 28), (60000,))
    assert (x_test.shape, y_test.shape) == ((10000, 28, 28), (10000,))
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert (x_train.min(), x_train.max()) == (0, 255)


# One IDX file


@pytest.mark.parametrize("name", ["digits.gz", "digits"])
@pytest.mark.parametrize("content", [CONTENT, PACKED], ids=["plain", "gzipped"])
def test_compression_is_told_from_the_content_not_the_name(tmp_path, name, content):
    np.testing.assert_array_equal(read_idx(written(tmp_path / name, content)), ARRAY)


def test_the_path_may_be_a_string(tmp_path):
    np.testing.assert_array_equal(read_idx(str(written(tmp_path / "digits", CONTENT))), ARRAY)


def test_the_array_read_is_writable(tmp_path):
    array = read_idx(written(tmp_path / "digits", CONTENT))
    array += 1
    np.testing.assert_array_equal(array, ARRAY + 1)


@pytest.mark.parametrize("shape", [(0,), (0, 28, 28), (4,), (1, 2, 3, 4)])
def test_any_number_of_dimensions_and_none_of_elements_are_read(tmp_path, shape):
    assert read_idx(written(tmp_path / "digits", idx(np.zeros(shape, np.uint8)))).shape == shape


def test_a_file_that_compresses_as_far_as_gzip_can_is_read(tmp_path):
    blank = np.zeros(2_000_000, np.uint8)
    path = written(tmp_path / "blank.gz", gzip.compress(idx(blank), 9))
    assert blank.size > 1000 * path.stat().st_size
    assert read_idx(path).shape == blank.shape


DAMAGED = {
    "empty file": b"",
    "truncated gzip": PACKED[:-12],
    "gzip without its trailer": PACKED[:-8],
    "gzip cut in its header": PACKED[:5],
    "wrong CRC": PACKED[:-8] + bytes([PACKED[-8] ^ 1]) + PACKED[-7:],
    "invalid deflate block": PACKED[:10] + b"\xff" * 10 + PACKED[20:],
    "junk after the gzip stream": PACKED + b"junk",
    "HTML page": PAGE,
    "gzipped HTML page": gzip.compress(PAGE),
    "bytes after the payload": CONTENT + b"\0",
    "gzipped bytes after the payload": gzip.compress(CONTENT + b"\0"),
    "payload too short": CONTENT[:-1],
    "gzipped payload too short": gzip.compress(CONTENT[:-1]),
    "header cut in its magic": CONTENT[:3],
    "header cut in its dimensions": CONTENT[:11],
    "wrong magic": b"\1" + CONTENT[1:],
    "elements of float32": b"\0\0\x0d" + CONTENT[3:],
    "little-endian dimensions": b"\0\0\x08\2" + struct.pack("<2I", 2, 3) + ARRAY.tobytes(),
    "huge dimensions": b"\0\0\x08\3" + b"\xff" * 12 + ARRAY.tobytes(),
    "gzipped huge dimensions": gzip.compress(b"\0\0\x08\3" + b"\xff" * 12 + ARRAY.tobytes()),
    "huge dimensions beside a zero": b"\0\0\x08\3" + b"\xff" * 8 + bytes(4),
    "more dimensions than numpy has": b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"\7",
    "gzip bomb": gzip.compress(CONTENT + bytes(8_000_000)),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_by_name_and_without_a_large_allocation(tmp_path, content):
    path = written(tmp_path / "digits.gz", content)
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=r"digits\.gz: ."):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_no_flipped_bit_of_a_gzipped_file_changes_what_is_read(tmp_path):
    for bit in range(8 * len(PACKED)):
        flipped = bytearray(PACKED)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            array = read_idx(written(tmp_path / "digits", flipped))
        except DatasetError:
            continue
        np.testing.assert_array_equal(array, ARRAY)


def test_a_missing_file_is_not_a_dataset_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        read_idx(tmp_path / "absent")


# Files that are there


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("before_idx", ["-", "."])
def test_every_usual_file_name_is_found(tmp_path, before_idx, suffix, pack):
    put_tiny_mnist(tmp_path, lambda name: name.replace("-idx", before_idx + "idx") + suffix, pack)
    assert_is_tiny_mnist(load_mnist(tmp_path))


def test_recompressed_files_pass(tmp_path):
    put_tiny_mnist(tmp_path, pack=lambda content: gzip.compress(content, 1, mtime=1))
    assert_is_tiny_mnist(load_mnist(str(tmp_path)))


def test_the_environment_variable_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMADELTA_DATA", str(put_tiny_mnist(tmp_path)))
    assert_is_tiny_mnist(load_mnist())


def test_a_tilde_in_the_environment_variable_is_the_home_folder(tmp_path, monkeypatch):
    put_tiny_mnist(tmp_path / "digits")
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("NUMADELTA_DATA", "~/digits")
    assert_is_tiny_mnist(load_mnist())


def test_the_argument_outranks_the_environment_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMADELTA_DATA", str(tmp_path / "nowhere"))
    assert_is_tiny_mnist(load_mnist(put_tiny_mnist(tmp_path / "here")))


def test_the_environment_variable_outranks_the_cache(tmp_path, monkeypatch, cache):
    put_tiny_mnist(cache)
    monkeypatch.setenv("NUMADELTA_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_mnist()


def test_an_empty_environment_variable_counts_as_unset(monkeypatch, cache):
    put_tiny_mnist(cache)
    monkeypatch.setenv("NUMADELTA_DATA", "")
    assert_is_tiny_mnist(load_mnist(download=False))


def test_cached_files_are_used_without_pooch(cache):
    put_tiny_mnist(cache)
    assert sys.modules["pooch"] is None
    assert_is_tiny_mnist(load_mnist())


@pytest.mark.parametrize(
    ("platform", "variable", "below"),
    [
        ("linux", "XDG_CACHE_HOME", "numadelta/mnist"),
        ("linux", "HOME", ".cache/numadelta/mnist"),
        ("darwin", "HOME", "Library/Caches/numadelta/mnist"),
        ("win32", "LOCALAPPDATA", "numadelta/numadelta/Cache/mnist"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="HOME is not what Windows goes by")
def test_the_cache_folder_is_where_the_platform_keeps_caches(
    tmp_path, monkeypatch, platform, variable, below
):
    monkeypatch.undo()
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", platform)
        folder = datasets._cache_folder()
    assert folder == tmp_path / below


@pytest.mark.skipif(pooch is None, reason="pooch is not installed")
def test_the_cache_folder_is_the_one_pooch_would_choose(monkeypatch):
    monkeypatch.undo()
    assert datasets._cache_folder() == pooch.os_cache("numadelta") / "mnist"


# Files that are missing from an explicit place


def test_a_file_missing_from_data_dir_is_named_and_not_downloaded(tmp_path, mirror):
    mirror(lambda url: pytest.fail("an explicit folder was completed by a download"))
    (put_tiny_mnist(tmp_path) / f"{TRAIN_IMAGES}.gz").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist(tmp_path)
    for part in (f"{TRAIN_IMAGES}.gz", " train-images.idx3-ubyte ", str(tmp_path), "data_dir"):
        assert part in str(caught.value)


def test_a_data_dir_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.*data_dir"):
        load_mnist(tmp_path / "nowhere")


def test_an_environment_variable_that_points_nowhere_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMADELTA_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"nowhere.*variable NUMADELTA_DATA"):
        load_mnist()


# Files that are there but wrong


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_mnist_file_is_refused_with_where_to_get_it(tmp_path, content):
    path = put_tiny_mnist(tmp_path) / f"{TRAIN_IMAGES}.gz"
    path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        load_mnist(tmp_path)
    assert str(path) in str(caught.value)
    assert "Delete the file" in str(caught.value)
    assert datasets._MIRRORS[0] in str(caught.value)


def test_a_sound_file_of_other_content_is_refused_with_both_hashes(tmp_path):
    path = put_tiny_mnist(tmp_path) / f"{TRAIN_IMAGES}.gz"
    path.write_bytes(PACKED)
    with pytest.raises(DatasetError) as caught:
        load_mnist(tmp_path)
    for part in (
        str(path),
        f"is {hashlib.sha256(CONTENT).hexdigest()}",
        f"expected {datasets._SHA256[TRAIN_IMAGES]}",
        datasets._MIRRORS[0],
    ):
        assert part in str(caught.value)


def test_a_damaged_file_in_the_cache_is_reported_not_replaced(cache, mirror):
    mirror(original)
    path = put_tiny_mnist(cache) / f"{TRAIN_IMAGES}.gz"
    path.write_bytes(PAGE)
    with pytest.raises(DatasetError, match="Delete the file"):
        load_mnist()
    path.unlink()
    assert_is_tiny_mnist(load_mnist())


@pytest.mark.parametrize(
    ("labels", "reason"),
    [([1, 2], "3 images, 2 labels"), ([1, 10, 2], "label 1 is 10")],
    ids=["counts differ", "not a digit"],
)
def test_images_and_labels_that_do_not_match_are_refused_by_both_names(labels, reason):
    images = np.zeros((3, 2, 2), np.uint8)
    with pytest.raises(DatasetError, match=f"x.gz and y.gz .*{reason}"):
        datasets._check_pair(images, np.array(labels, np.uint8), Path("x.gz"), Path("y.gz"))


# Downloads


def test_what_the_cache_lacks_is_downloaded_once(cache, mirror):
    mirror(original)
    assert_is_tiny_mnist(load_mnist())
    assert sorted(p.name for p in cache.iterdir()) == sorted(f"{n}.gz" for n in TINY_MNIST)
    mirror(offline)
    assert_is_tiny_mnist(load_mnist())


def test_the_download_says_nothing(mirror, caplog):
    mirror(original)
    logger = pooch.get_logger()
    logger.addHandler(caplog.handler)
    try:
        load_mnist()
        assert caplog.records == []
        logger.log(logging.INFO, "pooch speaks again")
        assert len(caplog.records) == 1
    finally:
        logger.removeHandler(caplog.handler)


@pytest.mark.parametrize(
    "reply",
    [offline, lambda url: PAGE, lambda url: original(url)[:-9], lambda url: PACKED],
    ids=["offline", "HTML page", "partial", "other content"],
)
def test_the_second_mirror_is_asked_when_the_first_fails(mirror, reply):
    first = datasets._MIRRORS[0]
    mirror(lambda url: reply(url) if url.startswith(first) else original(url))
    assert_is_tiny_mnist(load_mnist())


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (offline, "no route to host"),
        (lambda url: PAGE, "not an IDX file"),
        (lambda url: original(url)[:-9], "end-of-stream"),
        (lambda url: PACKED, "SHA-256"),
    ],
    ids=["offline", "HTML page", "partial", "other content"],
)
def test_a_failed_download_says_what_was_tried_and_leaves_nothing(cache, mirror, reply, reason):
    mirror(reply)
    with pytest.raises(FileNotFoundError, match=reason) as caught:
        load_mnist()
    for url in (f"{site}{TRAIN_IMAGES}.gz" for site in datasets._MIRRORS):
        assert url in str(caught.value)
    assert f"set NUMADELTA_DATA to a folder with the MNIST files, or put them in {cache}" in str(
        caught.value
    )
    assert list(cache.iterdir()) == []


def test_an_interrupted_download_leaves_nothing(cache, mirror):
    def interrupt(url):
        (part,) = cache.iterdir()
        part.write_bytes(original(url)[:20])
        raise KeyboardInterrupt

    mirror(interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_mnist()
    assert list(cache.iterdir()) == []


def test_two_downloads_at_once_both_end_with_good_files(cache, mirror):
    both = threading.Barrier(2, timeout=60)

    def respond(url):
        both.wait()
        return original(url)

    mirror(respond)
    with ThreadPoolExecutor(2) as pool:
        for loaded in pool.map(lambda _: load_mnist(), range(2)):
            assert_is_tiny_mnist(loaded)
    assert sorted(p.name for p in cache.iterdir()) == sorted(f"{n}.gz" for n in TINY_MNIST)


@pytest.mark.parametrize("call", [lambda: load_mnist(None, False), lambda: load_mnist(download=0)])
def test_nothing_is_downloaded_when_told_not_to(cache, mirror, call):
    mirror(lambda url: pytest.fail("downloaded"))
    with pytest.raises(FileNotFoundError, match="download is off; set NUMADELTA_DATA") as caught:
        call()
    assert f"put them in {cache}" in str(caught.value)


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch, mirror):
    mirror(original)
    folder = written(tmp_path / "file", b"") / "mnist"
    monkeypatch.setattr(datasets, "_cache_folder", lambda: folder)
    with pytest.raises(FileNotFoundError, match=r"into the cache folder .*file.*NUMADELTA_DATA"):
        load_mnist()


def test_without_pooch_the_error_names_the_extra_and_the_way_around():
    assert sys.modules["pooch"] is None
    with pytest.raises(ImportError, match=r"install numadelta\[datasets\].*NUMADELTA_DATA"):
        load_mnist()
