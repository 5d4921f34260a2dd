"""Training loops: one for one model, to be read, and the same for many models at once.

They are handed models and arrays, and know nothing of where these come from.
"""

from lrlib.train.checks import log_steps
from lrlib.train.many import fit_many
from lrlib.train.single import History, accuracy, train

__all__ = ["History", "accuracy", "fit_many", "log_steps", "train"]
