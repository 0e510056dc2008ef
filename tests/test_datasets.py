"""What `numadelta.datasets` promises, on tiny files and without a network."""

from __future__ import annotations

import errno
import gzip
import hashlib
import logging
import os
import struct
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from numadelta import datasets
from numadelta.datasets import DatasetError, load_fashion_mnist, load_mnist, read_idx

try:
    import pooch
except ImportError:
    pooch = None

REAL_MNIST = os.environ.get("NUMADELTA_DATA")
REAL_FASHION_MNIST = os.environ.get("NUMADELTA_FASHION_DATA")
TRAIN_IMAGES = "train-images-idx3-ubyte"
CACHE_FOLDER = datasets._cache_folder

PAGE = b"<!DOCTYPE html><title>502 Bad Gateway</title>"


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


ARRAY = np.arange(6, dtype=np.uint8).reshape(2, 3)
CONTENT = idx(ARRAY)
pack = partial(gzip.compress, mtime=0)  # the same bytes whenever it is called
PACKED = pack(CONTENT)

TINY = {
    TRAIN_IMAGES: np.arange(12, dtype=np.uint8).reshape(3, 2, 2),
    "train-labels-idx1-ubyte": np.array([7, 0, 9], np.uint8),
    "t10k-images-idx3-ubyte": np.arange(8, dtype=np.uint8).reshape(2, 2, 2),
    "t10k-labels-idx1-ubyte": np.array([1, 2], np.uint8),
}


@pytest.fixture(params=[datasets._MNIST, datasets._FASHION_MNIST], ids=["mnist", "fashion-mnist"])
def data(request):
    """Both data sets in turn."""
    return request.param


@pytest.fixture
def load(data):
    return getattr(datasets, data.loader)


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    """Leave absent cache folders as the only places, and nothing to download with."""
    folder = tmp_path / "home"
    for variable in ("NUMADELTA_DATA", "NUMADELTA_FASHION_DATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(datasets, "_cache_folder", lambda: folder)
    monkeypatch.setitem(sys.modules, "pooch", None)
    return folder


@pytest.fixture
def cache(caches, data):
    return caches / data.folder


@pytest.fixture(autouse=True)
def tiny_registry(monkeypatch):
    """Put the hashes of TINY in place of those of the real files."""
    for name, array in TINY.items():
        content = idx(array)
        for data, digest in (
            (datasets._MNIST, hashlib.sha256(content)),
            (datasets._FASHION_MNIST, hashlib.md5(pack(content))),
        ):
            monkeypatch.setitem(data.hashes, name, digest.hexdigest())


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
    return pack(idx(TINY[Path(url).stem]))


def offline(url: str) -> bytes:
    raise ConnectionError("no route to host")


def proxy(url: str) -> bytes:
    raise OSError("Tunnel connection failed: 403 Forbidden")


def put_tiny(folder: Path, rename=lambda name: f"{name}.gz", pack=pack) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in TINY.items():
        (folder / rename(name)).write_bytes(pack(idx(array)))
    return folder


def assert_is_tiny(loaded) -> None:
    (x_train, y_train), (x_test, y_test) = loaded
    for found, expected in zip((x_train, y_train, x_test, y_test), TINY.values(), strict=True):
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


@pytest.mark.skipif(
    not REAL_FASHION_MNIST, reason="NUMADELTA_FASHION_DATA does not name the Fashion-MNIST folder"
)
def test_real_fashion_mnist_loads(monkeypatch):
    monkeypatch.undo()
    (x_train, y_train), (x_test, y_test) = load_fashion_mnist()
    assert (x_train.shape, y_train.shape) == ((60000, 28, 28), (60000,))
    assert (x_test.shape, y_test.shape) == ((10000, 28, 28), (10000,))
    for labels in (y_train, y_test):
        assert np.bincount(labels).tolist() == [len(labels) // 10] * 10


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
    path = written(tmp_path / "blank.gz", pack(idx(blank)))
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
    "gzipped HTML page": pack(PAGE),
    "bytes after the payload": CONTENT + b"\0",
    "gzipped bytes after the payload": pack(CONTENT + b"\0"),
    "payload too short": CONTENT[:-1],
    "gzipped payload too short": pack(CONTENT[:-1]),
    "header cut in its magic": CONTENT[:3],
    "header cut in its dimensions": CONTENT[:11],
    "wrong magic": b"\1" + CONTENT[1:],
    "elements of float32": b"\0\0\x0d" + CONTENT[3:],
    "little-endian dimensions": b"\0\0\x08\2" + struct.pack("<2I", 2, 3) + ARRAY.tobytes(),
    "huge dimensions": b"\0\0\x08\3" + b"\xff" * 12 + ARRAY.tobytes(),
    "gzipped huge dimensions": pack(b"\0\0\x08\3" + b"\xff" * 12 + ARRAY.tobytes()),
    "huge dimensions beside a zero": b"\0\0\x08\3" + b"\xff" * 8 + bytes(4),
    "more dimensions than numpy has": b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"\7",
    "gzip bomb": pack(CONTENT + bytes(8_000_000)),
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


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("before_idx", ["-", "."])
def test_every_usual_file_name_is_found(tmp_path, load, before_idx, suffix):
    put_tiny(tmp_path, lambda name: name.replace("-idx", before_idx + "idx") + suffix)
    assert_is_tiny(load(str(tmp_path)))


def recompress(content: bytes) -> bytes:
    return gzip.compress(content, 1, mtime=1)


@pytest.mark.parametrize("pack", [bytes, recompress], ids=["plain", "recompressed"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_plain_and_recompressed_mnist_passes(tmp_path, suffix, pack):
    assert_is_tiny(load_mnist(put_tiny(tmp_path, lambda name: name + suffix, pack)))


@pytest.mark.parametrize("pack", [bytes, recompress], ids=["plain", "recompressed"])
def test_fashion_mnist_of_which_the_md5_is_not_known_is_refused(tmp_path, pack):
    put_tiny(tmp_path, pack=pack)
    with pytest.raises(DatasetError, match=f"expected .* for {TRAIN_IMAGES}.gz") as caught:
        load_fashion_mnist(tmp_path)
    assert hashlib.md5(pack(idx(TINY[TRAIN_IMAGES]))).hexdigest() in str(caught.value)
    assert ("a plain copy cannot be checked" in str(caught.value)) == (pack is bytes)


def test_fashion_mnist_is_not_taken_for_mnist_nor_the_other_way_round(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMADELTA_DATA", str(put_tiny(tmp_path)))
    with pytest.raises(FileNotFoundError, match="fashion-mnist"):
        load_fashion_mnist(download=False)
    monkeypatch.delenv("NUMADELTA_DATA")
    monkeypatch.setenv("NUMADELTA_FASHION_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="home.mnist"):
        load_mnist(download=False)


def test_the_environment_variable_names_the_folder(tmp_path, monkeypatch, load, data):
    monkeypatch.setenv(data.variable, str(put_tiny(tmp_path)))
    assert_is_tiny(load())


def test_a_tilde_in_the_environment_variable_is_the_home_folder(tmp_path, monkeypatch, load, data):
    put_tiny(tmp_path / "digits")
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv(data.variable, "~/digits")
    assert_is_tiny(load())


def test_the_argument_outranks_the_environment_variable(tmp_path, monkeypatch, load, data):
    monkeypatch.setenv(data.variable, str(tmp_path / "nowhere"))
    assert_is_tiny(load(put_tiny(tmp_path / "here")))


def test_the_environment_variable_outranks_the_cache(tmp_path, monkeypatch, cache, load, data):
    put_tiny(cache)
    monkeypatch.setenv(data.variable, str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load()


def test_an_empty_environment_variable_counts_as_unset(monkeypatch, cache, load, data):
    put_tiny(cache)
    monkeypatch.setenv(data.variable, "")
    assert_is_tiny(load(download=False))


def test_cached_files_are_used_without_pooch(cache, load):
    put_tiny(cache)
    assert sys.modules["pooch"] is None
    assert_is_tiny(load())


@pytest.mark.parametrize(
    ("platform", "variable", "below"),
    [
        ("linux", "XDG_CACHE_HOME", "numadelta"),
        ("linux", "HOME", ".cache/numadelta"),
        ("darwin", "HOME", "Library/Caches/numadelta"),
        ("win32", "LOCALAPPDATA", "numadelta/numadelta/Cache"),
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
    assert datasets._cache_folder() == pooch.os_cache("numadelta")


def test_without_a_home_there_is_no_cache(monkeypatch, load, data):
    """As for a user that the system does not list."""
    monkeypatch.setattr(datasets, "_cache_folder", CACHE_FOLDER)
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(FileNotFoundError, match=f"no home folder.*set {data.variable} to a folder"):
        load()


def test_a_cache_in_a_home_that_must_not_be_entered_has_no_files(monkeypatch, cache, load, data):
    stat = os.stat

    def stat_or_refuse(path, *arguments, **options):
        if str(path).startswith(str(cache)):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return stat(path, *arguments, **options)

    put_tiny(cache)
    monkeypatch.setattr(os, "stat", stat_or_refuse)
    with pytest.raises(FileNotFoundError, match=f"download is off; set {data.variable}"):
        load(download=False)
    with pytest.raises(OSError, match=cache.name):
        load(cache)


# Files that are missing from an explicit place


def test_a_file_missing_from_data_dir_is_named_and_not_downloaded(tmp_path, mirror, load):
    mirror(lambda url: pytest.fail("an explicit folder was completed by a download"))
    (put_tiny(tmp_path) / f"{TRAIN_IMAGES}.gz").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load(tmp_path)
    for part in (f"{TRAIN_IMAGES}.gz", " train-images.idx3-ubyte ", str(tmp_path), "data_dir"):
        assert part in str(caught.value)


def test_a_data_dir_that_does_not_exist_is_named(tmp_path, load):
    with pytest.raises(FileNotFoundError, match=r"nowhere.*data_dir"):
        load(tmp_path / "nowhere")


def test_so_is_one_in_the_home_of_nobody(load):
    with pytest.raises(FileNotFoundError, match=r"~nobody-of-this-name.digits.*data_dir"):
        load("~nobody-of-this-name/digits")


def test_an_environment_variable_that_points_nowhere_is_named(tmp_path, monkeypatch, load, data):
    monkeypatch.setenv(data.variable, str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"nowhere.*variable " + data.variable):
        load()


def test_a_folder_that_is_no_path_is_named(load):
    with pytest.raises(TypeError, match="data_dir must be a path, but is 3"):
        load(3)


# Files that are there but wrong


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_with_where_to_get_it(tmp_path, content, load, data):
    path = put_tiny(tmp_path) / f"{TRAIN_IMAGES}.gz"
    path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        load(tmp_path)
    assert str(path) in str(caught.value)
    assert "Delete the file" in str(caught.value)
    digest = (hashlib.md5 if data.hashes_are_md5 else hashlib.sha256)(content).hexdigest()
    assert f"is {digest}, expected {data.hashes[TRAIN_IMAGES]}" in str(caught.value)
    assert data.mirrors[0] in str(caught.value)


def test_a_sound_file_of_other_content_is_refused_with_both_hashes(tmp_path, load, data):
    path = put_tiny(tmp_path) / f"{TRAIN_IMAGES}.gz"
    path.write_bytes(PACKED)
    digest = hashlib.md5(PACKED) if data.hashes_are_md5 else hashlib.sha256(CONTENT)
    with pytest.raises(DatasetError) as caught:
        load(tmp_path)
    for part in (
        str(path),
        f"is {digest.hexdigest()}",
        f"expected {data.hashes[TRAIN_IMAGES]}",
        data.mirrors[0],
    ):
        assert part in str(caught.value)


def test_a_damaged_file_in_the_cache_is_reported_not_replaced(cache, mirror, load):
    mirror(original)
    path = put_tiny(cache) / f"{TRAIN_IMAGES}.gz"
    path.write_bytes(PAGE)
    with pytest.raises(DatasetError, match="Delete the file"):
        load()
    path.unlink()
    assert_is_tiny(load())


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


def test_what_the_cache_lacks_is_downloaded_once(cache, mirror, load):
    mirror(original)
    assert_is_tiny(load())
    assert sorted(p.name for p in cache.iterdir()) == sorted(f"{n}.gz" for n in TINY)
    mirror(offline)
    assert_is_tiny(load())


def test_the_download_says_nothing(mirror, caplog, load):
    mirror(original)
    logger = pooch.get_logger()
    logger.addHandler(caplog.handler)
    try:
        load()
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
def test_the_second_mirror_is_asked_when_the_first_fails(mirror, reply, load, data):
    first = data.mirrors[0]
    mirror(lambda url: reply(url) if url.startswith(first) else original(url))
    assert_is_tiny(load())


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (offline, "no route to host"),
        (proxy, "403 Forbidden"),
        (lambda url: PAGE, "not an IDX file|it is not gzipped"),
        (lambda url: original(url)[:-9], "end-of-stream|MD5"),
        (lambda url: PACKED, "SHA-256|MD5"),
    ],
    ids=["offline", "proxy", "HTML page", "partial", "other content"],
)
def test_a_failed_download_says_what_was_tried_and_leaves_nothing(
    cache, mirror, reply, reason, load, data
):
    mirror(reply)
    with pytest.raises(FileNotFoundError, match=reason) as caught:
        load()
    for url in (f"{site}{TRAIN_IMAGES}.gz" for site in data.mirrors):
        assert url in str(caught.value)
    remedy = f"set {data.variable} to a folder with the {data.title} files, or put them in {cache}"
    assert remedy in str(caught.value)
    assert list(cache.iterdir()) == []


def test_an_interrupted_download_leaves_nothing(cache, mirror, load):
    def interrupt(url):
        (part,) = cache.iterdir()
        part.write_bytes(original(url)[:20])
        raise KeyboardInterrupt

    mirror(interrupt)
    with pytest.raises(KeyboardInterrupt):
        load()
    assert list(cache.iterdir()) == []


def test_two_downloads_at_once_both_end_with_good_files(cache, mirror, load):
    both = threading.Barrier(2, timeout=60)

    def respond(url):
        both.wait()
        return original(url)

    mirror(respond)
    with ThreadPoolExecutor(2) as pool:
        for loaded in pool.map(lambda _: load(), range(2)):
            assert_is_tiny(loaded)
    assert sorted(p.name for p in cache.iterdir()) == sorted(f"{n}.gz" for n in TINY)


TWO_PROCESSES = """
import sys, time
from pathlib import Path
import pooch
from numadelta import datasets

home, source, me, other = map(Path, sys.argv[1:5])
data = getattr(datasets, sys.argv[5])
data.hashes.update(line.split() for line in (source / "hashes").read_text().splitlines())
datasets._cache_folder = lambda: home

def download(url, output_file, manager):
    me.touch()
    while not other.exists():
        time.sleep(0.01)
    Path(output_file).write_bytes((source / url.rpartition("/")[2]).read_bytes())

pooch.HTTPDownloader = lambda *, timeout: download
print(getattr(datasets, data.loader)()[0][1].tolist())
"""


def test_two_processes_that_download_at_once_both_end_with_good_files(
    tmp_path, caches, cache, mirror, data
):
    source = put_tiny(tmp_path / "source")
    (source / "hashes").write_text("\n".join(map(" ".join, data.hashes.items())))
    which = "_FASHION_MNIST" if data is datasets._FASHION_MNIST else "_MNIST"
    places = [str(tmp_path / "one"), str(tmp_path / "two")]
    command = [sys.executable, "-c", TWO_PROCESSES, str(caches), str(source)]
    both = [
        subprocess.Popen([*command, *order, which], stdout=subprocess.PIPE, text=True)
        for order in (places, places[::-1])
    ]
    try:
        for process in both:
            assert process.communicate(timeout=60)[0].strip() == "[7, 0, 9]"
            assert process.returncode == 0
    finally:
        for process in both:
            process.kill()
    assert sorted(p.name for p in cache.iterdir()) == sorted(f"{n}.gz" for n in TINY)


@pytest.mark.parametrize("arguments", [{"data_dir": None, "download": False}, {"download": 0}])
def test_nothing_is_downloaded_when_told_not_to(cache, mirror, arguments, load, data):
    mirror(lambda url: pytest.fail("downloaded"))
    with pytest.raises(FileNotFoundError, match=f"download is off; set {data.variable}") as caught:
        load(**arguments)
    assert f"put them in {cache}" in str(caught.value)


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch, mirror, load, data):
    mirror(original)
    folder = written(tmp_path / "file", b"")
    monkeypatch.setattr(datasets, "_cache_folder", lambda: folder)
    with pytest.raises(
        FileNotFoundError, match=r"into the cache folder .*file.*set " + data.variable
    ):
        load()


def test_without_pooch_the_error_names_the_extra_and_the_way_around(load, data):
    assert sys.modules["pooch"] is None
    with pytest.raises(ImportError, match=r"install numadelta\[datasets\].*" + data.variable):
        load()
