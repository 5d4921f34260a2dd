"""The command line: ``python -m lrlib doctor``, ``data``, ``run`` and ``results``."""

import argparse
import sys
from collections.abc import Sequence

from lrlib import data
from lrlib.doctor import report

FETCHED = tuple(name for name in data.NAMES if data.status_files(name))
