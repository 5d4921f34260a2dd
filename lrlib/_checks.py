"""Checks of arguments. Every message names the argument, the value that was given and the rule it broke."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``allowed``."""
    allowed = list(allowed)
    if value not in allowed:
        raise ValueError(f"{name}={value!r}: must be one of {', '.join(map(repr, allowed))}")


def integer(name: str, value: Any, *, minimum: int, maximum: int | None = None) -> None:
    """Raise unless ``value`` is an ``int`` (not a ``bool``) between ``minimum`` and ``maximum``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r}: must be an integer, not {type(value).__name__}")
    if value < minimum or (maximum is not None and value > maximum):
        bound = f"at least {minimum}" if maximum is None else f"between {minimum} and {maximum}"
        raise ValueError(f"{name}={value}: must be {bound}")


def number(
    name: str,
    value: Any,
    *,
    minimum: float = 0.0,
    exclusive: bool = False,
    maximum: float = float("inf"),
) -> None:
    """Raise unless ``value`` is a finite number, at least (``exclusive``: above) ``minimum``, at most ``maximum``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}={value!r}: must be a number, not {type(value).__name__}")
    if not (minimum < value if exclusive else minimum <= value) or value == float("inf"):
        raise ValueError(
            f"{name}={value}: must be finite and {'above' if exclusive else 'at least'} {minimum:g}"
        )
    if value > maximum:
        raise ValueError(f"{name}={value:g}: must be at most {maximum:g}")


def finite(name: str, value: Tensor) -> None:
    """Raise ``ValueError`` if ``value`` holds NaN or infinity; the message counts them."""
    if value.is_meta:
        raise ValueError(f"{name}: is on the meta device and has no values; load them first")
    bad = int((~torch.isfinite(value)).sum())
    if bad:
        raise ValueError(
            f"{name}: {bad} of its {value.numel()} entries are NaN or infinite; all must be finite"
        )


def real_floating(name: str, value: Any) -> None:
    """Raise ``TypeError`` unless ``value`` is a float32 or float64 tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: must be a torch.Tensor, not {type(value).__name__}")
    if value.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name}: dtype is {value.dtype}; must be torch.float32 or torch.float64")


def real_values(name: str, value: Tensor) -> None:
    """Raise unless ``value`` has values to compute with: not complex, not on the meta device, finite."""
    if value.is_complex():
        raise TypeError(f"{name}: dtype is {value.dtype}; must be real")
    finite(name, value)


def batch(name: str, value: Any) -> None:
    """Raise unless ``value`` is a non-empty, finite float batch, at least 2-dimensional, batch first."""
    real_floating(name, value)
    if value.ndim < 2 or value.shape[0] == 0:
        raise ValueError(f"{name}: shape is {tuple(value.shape)}; must be (n, ...) with n >= 1, batch first")
    finite(name, value)


def matrix(name: str, value: Any) -> None:
    """Raise unless ``value`` is a finite float matrix (rows, columns) that is not empty."""
    real_floating(name, value)
    if value.ndim != 2 or value.numel() == 0:
        raise ValueError(f"{name}: shape is {tuple(value.shape)}; must be a matrix, (rows, columns)")
    finite(name, value)


def chain(name: str, weights: Sequence[Any], *, minimum: int = 1) -> None:
    """Raise unless there are ``minimum`` matrices or more, each with a column for every row of the one before."""
    if len(weights) < minimum:
        raise ValueError(f"{name}: there are {len(weights)}; must be at least {minimum}")
    for i, weight in enumerate(weights):
        matrix(f"{name}[{i}]", weight)
        if i and weight.shape[1] != weights[i - 1].shape[0]:
            raise ValueError(
                f"{name}[{i}]: shape is {tuple(weight.shape)}; must have {weights[i - 1].shape[0]} columns, "
                f"one for each row of {name}[{i - 1}]"
            )


def spectrum(name: str, value: Any) -> None:
    """Raise unless ``value`` is a float tensor (..., k), k >= 1, finite and not negative."""
    real_floating(name, value)
    if value.ndim == 0 or value.shape[-1] == 0:
        raise ValueError(f"{name}: shape is {tuple(value.shape)}; must be (..., k) with k >= 1")
    finite(name, value)
    if (value < 0).any():
        raise ValueError(f"{name}: its smallest entry is {value.min():g}; singular values are not negative")


def thresholds(name: str, value: Any) -> Tensor:
    """Return a number, or a vector of them, as a float64 tensor; raise unless all are finite and >= 0."""
    if isinstance(value, bool | str) or value is None:
        raise TypeError(f"{name}={value!r}: must be a number, not {type(value).__name__}")
    try:
        found = torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name}={value!r}: must be a number, not {type(value).__name__}") from error
    if found.ndim > 1 or found.numel() == 0 or not torch.isfinite(found).all() or (found < 0).any():
        raise ValueError(f"{name}={value}: must be a finite number >= 0, or a vector of such")
    return found


def cpu_generator(name: str, value: Any) -> torch.Generator:
    """Return a generator on the CPU, one seeded with 0 for None; raise for anything else."""
    if value is None:
        return torch.Generator().manual_seed(0)
    if not isinstance(value, torch.Generator) or value.device.type != "cpu":
        raise TypeError(f"{name}={value!r}: must be a torch.Generator on the CPU, or None")
    return value
