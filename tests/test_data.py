"""The data sets as a reader loads them: digits, real MNIST where it is, standardising, arguments."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from lrlib import data
from lrlib.data.sources import SOURCES

# Images of each digit, as published with MNIST and counted in many places since.
MNIST_COUNTS = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}


@pytest.fixture(scope="module")
def mnist_folder() -> Path:
    folder = Path(os.environ.get("LRLIB_DATA", "")).expanduser() / "mnist"
    if "LRLIB_DATA" not in os.environ:  # set to a folder without MNIST, these tests fail
        pytest.skip(
            "real MNIST is not here: set LRLIB_DATA to a folder that holds mnist/train-images-idx3-ubyte.gz"
        )
    return folder


@pytest.mark.parametrize(("split", "rows"), [("train", slice(0, 1437)), ("test", slice(1437, 1797))])
def test_digits_are_those_of_scikit_learn_in_file_order(split, rows):
    expected = load_digits()
    digits = data.load("digits", split=split)
    assert digits.x.dtype == torch.float32
    assert digits.y.dtype == torch.int64
    np.testing.assert_array_equal(digits.x.numpy() * 16, expected.data[rows])  # exact: 16 is a power of two
    np.testing.assert_array_equal(digits.y.numpy(), expected.target[rows])
    assert (digits.name, digits.split, digits.image_shape) == ("digits", split, (8, 8))
    assert len(digits) == len(expected.target[rows])
    assert digits.classes == tuple(str(name) for name in expected.target_names)


def test_a_subset_is_drawn_without_replacement_and_by_its_seed():
    everything = data.load("digits")
    rows = {tuple(x.tolist()): int(y) for x, y in zip(everything.x, everything.y, strict=True)}
    assert len(rows) == 1437  # no two images are alike, so that a repeated draw would show
    some = data.load("digits", n=500, seed=3)
    drawn = [tuple(x.tolist()) for x in some.x]
    assert len(set(drawn)) == 500
    assert [rows[x] for x in drawn] == some.y.tolist()
    assert torch.equal(some.x, data.load("digits", n=500, seed=3).x)
    assert not torch.equal(some.x, data.load("digits", n=500, seed=4).x)
    assert not torch.equal(some.x, everything.x[:500])


def test_a_subset_of_all_is_all():
    everything, all_drawn = data.load("digits"), data.load("digits", n=1437)
    assert torch.equal(everything.x.sum(), all_drawn.x.sum())  # exact: sums of multiples of 1/16
    assert torch.equal(everything.y.bincount(), all_drawn.y.bincount())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "cifar"}, ValueError, "name='cifar': must be one of 'digits', 'mnist', 'fashion-mnist'"),
        ({"name": "digits", "split": "val"}, ValueError, "split='val': must be one of 'train', 'test'"),
        ({"name": "digits", "n": 1438}, ValueError, "n=1438: must be between 1 and 1437"),
        ({"name": "digits", "n": 0}, ValueError, "n=0: must be between 1 and 1437"),
        ({"name": "digits", "n": 2.5}, TypeError, "n=2.5: must be an integer"),
        ({"name": "digits", "n": 5, "seed": -1}, ValueError, "seed=-1: must be at least 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=f"^{message}"):
        data.load(**arguments)


def test_standardise_uses_one_mean_and_deviation_those_of_the_training_set():
    train, test = data.load("digits"), data.load("digits", split="test")
    pixels = load_digits().data[:1437] / 16
    standard_train, standard_test = data.standardise(train, test)
    for raw, standard in ((train, standard_train), (test, standard_test)):
        expected = (raw.x.numpy().astype(np.float64) - pixels.mean()) / pixels.std()
        # float32 keeps 24 bits, and two operations round: 1e-6 of entries below 3
        np.testing.assert_allclose(standard.x.numpy(), expected, rtol=0, atol=1e-6)
        assert standard.x.dtype == torch.float32
        assert standard.y is raw.y
    assert float(train.x.min()) == 0  # the input is left as it was
    assert len(data.standardise(train)) == 1


def test_standardise_refuses_other_shapes_and_constant_images():
    digits = data.load("digits", n=3)
    flat = data.Dataset(torch.full((3, 64), 0.5), digits.y, "flat", "train", (8, 8), digits.classes)
    wide = data.Dataset(torch.rand(3, 80), digits.y, "wide", "test", (8, 10), digits.classes)
    with pytest.raises(ValueError, match=r"^train: all pixels are 0\.5; must vary"):
        data.standardise(flat)
    with pytest.raises(ValueError, match=r"^others: image_shape is \(8, 10\); must be train's, \(8, 8\)"):
        data.standardise(digits, wide)


@pytest.mark.parametrize("split", ["train", "test"])
def test_mnist_is_the_real_one(mnist_folder, split):
    mnist = data.load("mnist", split=split)
    prefix, n = ("train", 60_000) if split == "train" else ("t10k", 10_000)
    raw = gzip.decompress((mnist_folder / f"{prefix}-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(raw, np.uint8)[16:].reshape(n, 784)
    assert mnist.x.shape == (n, 784)
    assert np.array_equal((mnist.x.numpy() * 255).round().astype(np.uint8), pixels)
    assert (float(mnist.x.min()), float(mnist.x.max())) == (0, 1)
    assert mnist.y.bincount().tolist() == MNIST_COUNTS[split]
    assert (mnist.image_shape, mnist.classes) == ((28, 28), tuple("0123456789"))


def test_mnist_standardises_by_the_constants_that_everyone_quotes(mnist_folder):
    train = data.load("mnist")
    (standard,) = data.standardise(train)
    black, white = float(standard.x.min()), float(standard.x.max())
    assert 1 / (white - black) == pytest.approx(0.3081, abs=5e-5)  # quoted to four digits
    assert -black / (white - black) == pytest.approx(0.1307, abs=5e-5)


def test_mnist_in_a_subset_keeps_images_and_labels_together(mnist_folder):
    some, everything = data.load("mnist", split="test", n=20), data.load("mnist", split="test")
    for x, y in zip(some.x, some.y, strict=True):
        (row,) = (everything.x == x).all(1).nonzero()
        assert everything.y[row] == y


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_sources_have_mirrors_and_four_different_digests(name):
    source = SOURCES[name]
    hosts = {mirror.split("/")[2] for mirror in source.mirrors}
    assert len(hosts) >= 2
    assert all(mirror.endswith("/") for mirror in source.mirrors)
    assert len({file.sha256 for file in source.files}) == 4
    assert all(len(file.sha256) == 64 for file in source.files)
    for images, labels in source.splits.values():
        assert images.shape[:1] == labels.shape


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_page_on_data_gives_the_digests_that_are_verified(name):
    page = (Path(__file__).parents[1] / "data" / "README.md").read_text()
    column = 1 + ["mnist", "fashion-mnist"].index(name)
    for file in SOURCES[name].files:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {file.name} |")]
        assert row.split("|")[1 + column].strip(" `") == file.sha256
