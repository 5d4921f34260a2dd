"""Data sets as the book uses them: a batch of flat images in [0, 1] and their labels."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lrlib import _checks, runtime
from lrlib.data.download import Patience
from lrlib.data.files import FileStatus, folders, obtain, read_split, statuses
from lrlib.data.sources import DIGITS, SOURCES

NAMES = ("digits", *SOURCES)
SPLITS = ("train", "test")
DIGITS_TRAIN = 1437


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, one row per image.

    ``x`` holds the pixels row by row, (n, h * w) float32, in [0, 1] unless :func:`standardise` made it; ``y`` the
    labels, (n,) int64, which index ``classes``. ``image_shape`` is (h, w): ``ds.x.view(-1, *ds.image_shape)``.
    """

    x: Float[Tensor, "n d"] = field(repr=False)
    y: Int64[Tensor, " n"] = field(repr=False)
    name: str
    split: str
    image_shape: tuple[int, int]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        """Return n, the number of images."""
        return len(self.y)


def load(
    name: str, *, split: str = "train", n: int | None = None, seed: int = 0, progress: bool = True
) -> Dataset:
    """Return the data set ``name`` ("digits", "mnist" or "fashion-mnist"), on the CPU.

    ``n=None`` gives every image of the ``split`` ("train" or "test") in file order. Otherwise ``n`` of them are
    drawn without replacement and in random order, by a generator seeded with ``seed``.

    - digits: the 1797 images of 8 x 8 that scikit-learn brings along (UCI "Optical Recognition of Handwritten
      Digits"). Train is the first 1437, test the last 360. The file goes writer by writer (its labels restart a
      form at rows 1415, 1545 and 1667), so 252 of the 360 test images come from forms that training never saw.
    - mnist: 60,000 and 10,000 images of 28 x 28 (LeCun, Cortes and Burges).
    - fashion-mnist: the same sizes (Xiao, Rasul and Vollgraf, arXiv 1708.07747).

    The last two are read from ``$LRLIB_DATA``, else from the cache, else downloaded into the cache, with a bar if
    ``progress``. Their SHA-256 is verified at every read.

    Raises ``ValueError`` or ``TypeError`` for an argument out of range (``n`` above the size of the split is one),
    and :class:`DataError` if the files cannot be had.

    >>> digits = load("digits", split="test", n=100, seed=0)
    >>> digits
    Dataset(name='digits', split='test', image_shape=(8, 8), classes=('0', '1', '2', '3', '4', '5', '6', '7', '8', '9'))
    >>> digits.x.shape, digits.y.shape, float(digits.x.min()), float(digits.x.max())
    (torch.Size([100, 64]), torch.Size([100]), 0.0, 1.0)
    """
    _checks.one_of("name", name, NAMES)
    _checks.one_of("split", split, SPLITS)
    if name == "digits":
        images, labels, white, classes = *_digits(split), 16, DIGITS
    else:
        images, labels = read_split(SOURCES[name], split, folders(), progress=progress)
        white, classes = 255, SOURCES[name].classes
    rows = _rows(len(images), n, seed)
    x = torch.tensor(images[rows], dtype=torch.float32).flatten(1) / white
    y = torch.tensor(labels[rows], dtype=torch.int64)
    return Dataset(x, y, name, split, images.shape[1:], classes)


def _rows(available: int, n: int | None, seed: int) -> slice | np.ndarray:
    if n is None:
        return slice(None)
    _checks.integer("n", n, minimum=1, maximum=available)
    return torch.randperm(available, generator=runtime.generator(seed))[:n].numpy()


def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = slice(DIGITS_TRAIN) if split == "train" else slice(DIGITS_TRAIN, None)
    return digits.images[rows], digits.target[rows]


def standardise(train: Dataset, *others: Dataset) -> tuple[Dataset, ...]:
    """Return ``train`` and ``others``, each x as (x - m) / s, with one m and one s: those of all pixels of ``train``.

    One mean and one standard deviation (of the population, in float64) keep the geometry of the images: no pixel is
    stretched against another. Raises ``ValueError`` if the images differ in shape or ``train`` is constant.

    >>> train, test = standardise(load("digits"), load("digits", split="test"))
    >>> abs(float(train.x.mean())) < 1e-6, round(float(train.x.std(correction=0)), 4)
    (True, 1.0)
    """
    for other in others:
        if other.image_shape != train.image_shape:
            raise ValueError(
                f"others: image_shape is {other.image_shape}; must be train's, {train.image_shape}"
            )
    std, mean = torch.std_mean(train.x.double(), correction=0)
    if std == 0:
        raise ValueError(f"train: all pixels are {mean:g}; must vary to be standardised")
    return tuple(dataclasses.replace(each, x=((each.x - mean) / std).float()) for each in (train, *others))


def fetch(name: str, *, progress: bool = True) -> tuple[Path, ...]:
    """Make sure that every file of the data set ``name`` is here and verified; return their paths.

    Downloads what is missing. Raises :class:`DataError`. "digits" has no files: scikit-learn brings it along.

    >>> fetch("digits")
    ()
    """
    _checks.one_of("name", name, NAMES)
    if name not in SOURCES:
        return ()
    source, where = SOURCES[name], folders()
    return tuple(
        obtain(source, file, where, patience=Patience(), progress=progress)[0] for file in source.files
    )


def status(name: str) -> tuple[FileStatus, ...]:
    """Return for each file of the data set ``name`` where it is and whether it is verified; fetches nothing.

    >>> status("digits")  # no files: scikit-learn brings it along
    ()
    """
    _checks.one_of("name", name, NAMES)
    return statuses(SOURCES[name], folders()) if name in SOURCES else ()
