"""Data sets: verified whatever their source, and clear about what is wrong with them."""

from __future__ import annotations

import hashlib
import http.server
import io
import pickle
import tarfile
import threading

import numpy as np
import pytest

from bnstudy.train import data
from bnstudy.train.data import DataError, array_sha256, fetch_cifar10, load_dataset


def small_arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8),
        "y_train": rng.integers(0, 10, 10).astype(np.uint8),
        "x_test": rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8),
        "y_test": rng.integers(0, 10, 4).astype(np.uint8),
    }


@pytest.fixture
def small_cifar(monkeypatch):
    arrays = small_arrays()
    monkeypatch.setitem(data.SHA256, "cifar10", {k: array_sha256(v) for k, v in arrays.items()})
    return arrays


def test_digits_are_the_embedded_ones(digits):
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    assert digits.x_train.shape == (1438, 32, 32, 3)
    assert digits.x_test.shape == (359, 32, 32, 3)
    assert digits.x_train.dtype == digits.y_train.dtype == np.uint8
    np.testing.assert_array_equal(digits.y_test, labels[4::5])
    # Each pixel became a 4x4 square of equal grey in three channels.
    np.testing.assert_array_equal(digits.x_test[0, ::4, ::4, 0], np.rint(images[4].reshape(8, 8) * 255 / 16))
    assert (digits.x_test[:, 1::4, 3::4, 2] == digits.x_test[:, ::4, ::4, 0]).all()


def test_unknown_name():
    with pytest.raises(ValueError, match=r"dataset is 'mnist'; allowed: 'cifar10', 'digits'"):
        load_dataset("mnist")


def test_environment_names_the_folder(tmp_path, monkeypatch, small_cifar):
    np.savez(tmp_path / "cifar10.npz", **small_cifar)
    monkeypatch.setenv("BNSTUDY_DATA", str(tmp_path))
    np.testing.assert_array_equal(load_dataset("cifar10").x_test, small_cifar["x_test"])


def test_missing_file_says_where_and_how(tmp_path):
    with pytest.raises(DataError, match=rf"no file {tmp_path}/cifar10.npz.*bnstudy data fetch cifar10"):
        load_dataset("cifar10", tmp_path)


def test_truncated_file(tmp_path, small_cifar):
    path = tmp_path / "cifar10.npz"
    np.savez(path, **small_cifar)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"damaged or truncated.*bnstudy data fetch cifar10"):
        load_dataset("cifar10", tmp_path)


def test_wrong_content_names_the_array(tmp_path, small_cifar):
    changed = dict(small_cifar, y_test=small_cifar["y_test"][::-1].copy() + 1)
    np.savez(tmp_path / "cifar10.npz", **changed)
    with pytest.raises(DataError, match=r"the array y_test .* is not the published one"):
        load_dataset("cifar10", tmp_path)


def test_missing_array(tmp_path, small_cifar):
    np.savez(tmp_path / "cifar10.npz", x_train=small_cifar["x_train"])
    with pytest.raises(DataError, match="has no array y_train"):
        load_dataset("cifar10", tmp_path)


class Trap:
    def __reduce__(self):
        return (exec, ("raise SystemExit('pickled code ran')",))


def test_pickled_code_never_runs(tmp_path):
    np.savez(tmp_path / "cifar10.npz", x_train=np.array([Trap()], dtype=object))
    with pytest.raises(DataError, match="damaged"):
        load_dataset("cifar10", tmp_path)


def cifar_archive(arrays):
    """Return a small archive in the layout of the published one, and the MD5 of each file in it."""

    def batch(x, y):
        flat = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        return pickle.dumps({"data": flat, "labels": [int(v) for v in y]})

    halves = np.split(np.arange(10), 5)
    files = {
        f"data_batch_{i + 1}": batch(arrays["x_train"][part], arrays["y_train"][part])
        for i, part in enumerate(halves)
    }
    files["test_batch"] = batch(arrays["x_test"], arrays["y_test"])
    files["batches.meta"] = pickle.dumps({"label_names": [str(i) for i in range(10)]})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue(), {name: hashlib.md5(content).hexdigest() for name, content in files.items()}


@pytest.fixture
def served(monkeypatch, small_cifar):
    """Serve the small archive on loopback, and point torchvision's reader at it."""
    from torchvision.datasets import CIFAR10

    content, md5 = cifar_archive(small_cifar)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz")
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(content).hexdigest())
    monkeypatch.setattr(
        CIFAR10, "train_list", [[f"data_batch_{i}", md5[f"data_batch_{i}"]] for i in range(1, 6)]
    )
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": md5["batches.meta"]}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    yield CIFAR10
    server.shutdown()
    server.server_close()


def test_fetch_downloads_converts_and_verifies(tmp_path, served, small_cifar):
    said = []
    path = fetch_cifar10(tmp_path, report=said.append)
    loaded = load_dataset("cifar10", tmp_path)
    for key, expected in small_cifar.items():
        np.testing.assert_array_equal(getattr(loaded, key), expected)
    assert [p.name for p in tmp_path.iterdir()] == ["cifar10.npz"]  # nothing of the download is left
    fetch_cifar10(tmp_path, report=said.append)
    assert said == [f"wrote {path}", f"{path} is there and intact"]


def test_fetch_refuses_other_content(tmp_path, served, monkeypatch):
    monkeypatch.setattr(served, "tgz_md5", "0" * 32)
    with pytest.raises(DataError, match="the download failed"):
        fetch_cifar10(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_fetch_replaces_a_damaged_file(tmp_path, served):
    (tmp_path / "cifar10.npz").write_bytes(b"not an archive")
    said = []
    fetch_cifar10(tmp_path, report=said.append)
    assert "damaged" in said[0]
    assert len(load_dataset("cifar10", tmp_path).y_test) == 4
