"""Data whose truth is known: a linear teacher of low rank on Gaussian inputs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lrlib import _checks


@dataclass(frozen=True, eq=False)
class TeacherData:
    """Inputs and targets: ``y = x weight^T + noise``, with ``x`` (n, d), ``y`` (n, m) and ``weight`` (m, d), float32."""

    x: Float[Tensor, "n d"]
    y: Float[Tensor, "n m"]
    weight: Float[Tensor, "m d"]


def gaussian_teacher(
    n: int,
    *,
    inputs: int = 30,
    outputs: int = 10,
    rank: int = 3,
    noise: float = 0.1,
    deviations: Sequence[float] | None = None,
    generator: torch.Generator,
) -> TeacherData:
    """Draw Gaussian x, a teacher of the given rank, and y, the teacher's answer with Gaussian noise.

    The teacher is A B / sqrt(rank d) with standard normal A (m, rank) and B (rank, d): outputs have a variance near 1
    if the inputs' coordinates have variances near 1.

    Args:
        n: number of inputs, >= 1.
        inputs, outputs: d and m, >= 1.
        rank: 1 to min(d, m).
        noise: standard deviation of the noise on y, >= 0.
        deviations: the standard deviations of the d independent coordinates of x, >= 0; ones, N(0, I_d), by default.
        generator: a CPU generator.

    Raises ``TypeError`` or ``ValueError`` for an argument outside these rules.

    >>> made = gaussian_teacher(5, generator=torch.Generator().manual_seed(0))
    >>> made.x.shape, made.y.shape, torch.linalg.matrix_rank(made.weight.double(), rtol=1e-5).item()
    (torch.Size([5, 30]), torch.Size([5, 10]), 3)
    """
    for name, value in (("n", n), ("inputs", inputs), ("outputs", outputs)):
        _checks.integer(name, value, minimum=1)
    _checks.integer("rank", rank, minimum=1, maximum=min(inputs, outputs))
    _checks.number("noise", noise)
    deviations = [1.0] * inputs if deviations is None else list(deviations)
    if len(deviations) != inputs:
        raise ValueError(
            f"deviations: there are {len(deviations)}; must be one for each of the {inputs} inputs"
        )
    for i, deviation in enumerate(deviations):
        _checks.number(f"deviations[{i}]", deviation)
    generator = _checks.cpu_generator("generator", generator)
    left, right = (
        torch.randn(outputs, rank, generator=generator),
        torch.randn(rank, inputs, generator=generator),
    )
    weight = left @ right / math.sqrt(rank * inputs)
    x = torch.randn(n, inputs, generator=generator) * torch.tensor(deviations)
    return TeacherData(x, x @ weight.T + noise * torch.randn(n, outputs, generator=generator), weight)
