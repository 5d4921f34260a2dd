"""Data sets: digits, which needs no network, and MNIST and Fashion-MNIST, fetched once and verified at every read.

>>> from lrlib import data
>>> len(data.load("digits")), len(data.load("digits", split="test"))
(1437, 360)
"""

from lrlib.data.dataset import NAMES, SPLITS, Dataset, fetch, load, standardise, status
from lrlib.data.files import FileStatus
from lrlib.data.idx import DataError
from lrlib.data.teacher import TeacherData, gaussian_teacher

__all__ = [
    "NAMES",
    "SPLITS",
    "DataError",
    "Dataset",
    "FileStatus",
    "TeacherData",
    "fetch",
    "gaussian_teacher",
    "load",
    "standardise",
    "status",
]
