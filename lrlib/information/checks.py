"""What the estimators ask of their samples."""

from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from lrlib import _checks


def samples(name: str, value: Any, *, minimum: int = 2) -> Float64[Tensor, "n d"]:
    """Return samples, (n,) or (n, d), as float64 (n, d) on the CPU.

    Raises ``TypeError`` unless ``value`` is a float32 or float64 tensor, ``ValueError`` unless it is finite, has
    one or two dimensions, at least one column and at least ``minimum`` rows.
    """
    _checks.real_floating(name, value)
    if value.ndim not in (1, 2) or value.numel() == 0:
        raise ValueError(f"{name}: shape is {tuple(value.shape)}; must be (n,) or (n, d), not empty")
    if len(value) < minimum:
        raise ValueError(f"{name}: has {len(value)} samples; must be at least {minimum}")
    _checks.finite(name, value)
    found = value.detach().to("cpu", torch.float64)
    return found[:, None] if found.ndim == 1 else found


def same_length(x: Tensor, y: Tensor) -> None:
    """Raise ``ValueError`` unless x and y have as many rows, one of each for every sample."""
    if len(x) != len(y):
        raise ValueError(f"y: has {len(y)} samples; must have {len(x)}, as many as x")


def varying(name: str, value: Float64[Tensor, "n d"]) -> None:
    """Raise ``ValueError`` if a column is constant: it has no density, so no formula that needs one holds."""
    constant = (value == value[0]).all(0).nonzero().flatten().tolist()
    if constant:
        raise ValueError(f"{name}: columns {constant} of {value.shape[1]} are constant; drop them first")


def representable(t: Tensor, noise_var: float, ratio: Tensor) -> None:
    """Raise ``ValueError`` where squares of t over noise_var have left float64's range."""
    if not torch.isfinite(ratio).all():
        raise ValueError(
            f"noise_var={noise_var:g}: beside t, whose entries reach {t.abs().max():g}, their ratio leaves float64's "
            "range; rescale t and the noise"
        )
