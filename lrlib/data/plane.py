"""Two classes of points in the plane, and labels that are wrong on purpose: the data of the book's playground.

Numbers are drawn in torch's default dtype, in the order in which they are named here, and every function draws as many
whatever its noise. The playground's JavaScript draws the same ones for the same seed.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lrlib import _checks


def two_spirals(
    n: int, *, noise: float = 0.05, turns: float = 1.25, generator: torch.Generator
) -> tuple[Float[Tensor, "n 2"], Int64[Tensor, " n"]]:
    """Return x (n, 2) and y (n,): points on two spirals, each the other turned by half a turn; 0 and 1 by turns.

    A point lies at 2 sqrt(u) in the direction pi (2 turns sqrt(u) + y), u uniform on [0, 1), with normal noise of
    standard deviation ``noise`` on both coordinates. Raises ``TypeError`` or ``ValueError`` for n < 1, noise < 0,
    turns <= 0 or no CPU generator; so do the others here.

    >>> x, y = two_spirals(4, noise=0.0, generator=torch.Generator().manual_seed(0))
    >>> y, bool((x.norm(dim=1) < 2).all())
    (tensor([0, 1, 0, 1]), True)
    """
    _checks.number("turns", turns, exclusive=True)
    y, u, shaken = _drawn(n, noise, generator)
    radius, angle = u.sqrt(), math.pi * (2 * turns * u.sqrt() + y)
    return 2 * radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1) + shaken, y


def rings(
    n: int, *, noise: float = 0.1, generator: torch.Generator
) -> tuple[Float[Tensor, "n 2"], Int64[Tensor, " n"]]:
    """Return x (n, 2) and y (n,): points on circles of radius 0.8 (class 0) and 1.8 (class 1), 0 and 1 by turns.

    >>> x, y = rings(2, noise=0.0, generator=torch.Generator().manual_seed(0))
    >>> [round(radius, 6) for radius in x.norm(dim=1).tolist()]
    [0.8, 1.8]
    """
    y, u, shaken = _drawn(n, noise, generator)
    radius, angle = torch.tensor([0.8, 1.8])[y], 2 * math.pi * u
    return radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1) + shaken, y


def moons(
    n: int, *, noise: float = 0.15, generator: torch.Generator
) -> tuple[Float[Tensor, "n 2"], Int64[Tensor, " n"]]:
    """Return x (n, 2) and y (n,): points on two half circles of radius 1.5 that reach into each other, 0 and 1 by turns.

    Class 0 is the upper half of the circle about (-0.75, -0.375), class 1 the lower half of that about (0.75, 0.375).

    >>> x, y = moons(2, noise=0.0, generator=torch.Generator().manual_seed(0))
    >>> (x - torch.tensor([[-0.75, -0.375], [0.75, 0.375]])).norm(dim=1)
    tensor([1.5000, 1.5000])
    """
    y, u, shaken = _drawn(n, noise, generator)
    cos, sin = (math.pi * u).cos(), (math.pi * u).sin()
    upper, lower = torch.stack([cos - 0.5, sin - 0.25], 1), torch.stack([0.5 - cos, 0.25 - sin], 1)
    return 1.5 * torch.where(y[:, None] == 0, upper, lower) + shaken, y


def flip_labels(
    y: Int64[Tensor, " n"], share: float, *, classes: int, generator: torch.Generator
) -> Int64[Tensor, " n"]:
    """Return y with each label replaced, with probability ``share``, by one of the others, each as likely.

    Args:
        y: labels 0 to classes - 1.
        share: 0 to 1.
        classes: how many there are, >= 2.
        generator: a CPU generator, from which as many numbers are drawn whatever the share.

    Raises ``TypeError`` or ``ValueError`` for an argument outside these rules.

    >>> g = torch.Generator().manual_seed(0)
    >>> flip_labels(torch.tensor([0, 1, 0, 1]), 1.0, classes=2, generator=g)
    tensor([1, 0, 1, 0])
    """
    if not isinstance(y, Tensor) or y.dtype != torch.int64 or y.ndim != 1:
        raise TypeError("y: must be an int64 tensor of shape (n,)")
    _checks.number("share", share)
    if share > 1:
        raise ValueError(f"share={share}: must be 0 to 1")
    _checks.integer("classes", classes, minimum=2)
    if len(y) and (y.min() < 0 or y.max() >= classes):
        raise ValueError(f"y: labels are {y.min()} to {y.max()}; must be 0 to {classes - 1}")
    generator = _checks.cpu_generator("generator", generator)
    chosen = torch.rand(len(y), generator=generator) < share
    shift = torch.randint(1, classes, (len(y),), generator=generator)
    return torch.where(chosen, (y + shift) % classes, y)


def _drawn(n: int, noise: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return labels that alternate, a uniform number for each, and its noise, (n,), (n,) and (n, 2)."""
    _checks.integer("n", n, minimum=1)
    _checks.number("noise", noise)
    generator = _checks.cpu_generator("generator", generator)
    u = torch.rand(n, generator=generator)
    return torch.arange(n) % 2, u, noise * torch.randn(n, 2, generator=generator)
