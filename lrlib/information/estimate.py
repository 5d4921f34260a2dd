"""What every estimator of information returns: a number, how far it is to be trusted, and the most it could say."""

import math
from dataclasses import dataclass
from typing import Literal

from lrlib import _checks

SATURATED = 0.05
"""A value within this share of its cap says that the sample was too small, not how large the information is."""

Kind = Literal["estimate", "lower bound", "upper bound"]


@dataclass(frozen=True)
class Estimate:
    """An estimate, or a bound, of an information or an entropy, in nats.

    Attributes:
        value: Nats. Not clipped: an estimate of a small information may be below zero.
        stderr: Standard error of ``value`` over samples of this size, in nats; it knows nothing of bias.
            None where no defensible one exists.
        kind: "estimate", "lower bound" or "upper bound".
        method: The estimator and the settings that change its value, in words.
        n: Number of samples.
        cap: The largest value that the method can return with this ``n``, in nats; None if there is none.

    Raises:
        ValueError: ``value`` (or ``stderr``, ``cap``) is NaN or infinite, ``stderr`` is negative, or ``kind``
            is none of the three.

    >>> found = Estimate(6.9, 0.02, "lower bound", "InfoNCE", n=2000, cap=math.log(1000))
    >>> print(found)
    6.900 ± 0.020 nats (lower bound, saturated: it cannot exceed 6.908)
    >>> float(found), found.saturated
    (6.9, True)
    """

    value: float
    stderr: float | None
    kind: Kind
    method: str
    n: int
    cap: float | None = None

    def __post_init__(self) -> None:
        _checks.one_of("kind", self.kind, ("estimate", "lower bound", "upper bound"))
        _checks.integer("n", self.n, minimum=1)
        for name in ("value", "stderr", "cap"):
            given = getattr(self, name)
            if given is not None and not math.isfinite(given):
                raise ValueError(f"{name}={given}: must be finite; a method that fails raises")
        if self.stderr is not None and self.stderr < 0:
            raise ValueError(f"stderr={self.stderr}: must be at least 0")

    @property
    def saturated(self) -> bool:
        """True if ``value`` is within ``SATURATED`` (5 %) of ``cap``, or above it."""
        return self.cap is not None and self.value >= (1 - SATURATED) * self.cap

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        spread = "" if self.stderr is None else f" ± {self.stderr:.3f}"
        ceiling = f", saturated: it cannot exceed {self.cap:.3f}" if self.saturated else ""
        return f"{self.value:.3f}{spread} nats ({self.kind}{ceiling})"
