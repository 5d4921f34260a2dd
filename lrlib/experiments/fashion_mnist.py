"""The experiment of :mod:`lrlib.experiments.mnist` on Fashion-MNIST: clothes instead of digits, all else the same."""

from dataclasses import replace

from lrlib.experiments import mnist
from lrlib.experiments.mnist import cells

__all__ = ["CONFIGS", "cells"]

CONFIGS = {
    "quick": replace(
        mnist.CONFIGS["full"], dataset="fashion-mnist", seeds=(0,), weight_decays=(3e-3,), steps=2_000
    ),
    "full": replace(mnist.CONFIGS["full"], dataset="fashion-mnist"),
}
