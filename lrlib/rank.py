"""From singular values to ranks: counts above a threshold, effective and stable rank, and the local rank."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from lrlib import _checks
from lrlib.jacobian import Counts, count_chunks, joined

MINIMUM = 64  # inputs before an early stop: a standard error from fewer is itself uncertain


@dataclass(frozen=True)
class LocalRank:
    """The local rank of every layer: a mean over inputs, with its standard error.

    Of spectra that were at hand already, how they were found is not known: the last four are empty or None.

    Attributes:
        layers: the layers' names, L of them.
        mean: (L,) float64, the mean over inputs of the number of singular values above the threshold.
        stderr: (L,) float64, the standard error of that mean over inputs; infinite for one input.
        n: how many inputs it is a mean over.
        eps: the threshold that singular values were compared with.
        relative: whether it was eps * sigma_1 rather than eps.

        methods: what counted each layer's singular values, of "gram", "svd" and "lanczos"; "gram" and "svd" where
            Gram matrices left some inputs in doubt.
        resolution: (L,) float64, the smallest singular value, relative to sigma_1, that the first of these
            methods tells from zero, at the worst input.
        ties: (L,) int64, at how many inputs a singular value lies within rounding of the threshold.
        estimated: (L,) bool, whether the counts themselves are estimates; their errors are within ``stderr``.
    """

    layers: tuple[str, ...]
    mean: Float[Tensor, " L"]
    stderr: Float[Tensor, " L"]
    n: int
    eps: float
    relative: bool
    methods: tuple[tuple[str, ...], ...] = ()
    resolution: Float[Tensor, " L"] | None = None
    ties: Int64[Tensor, " L"] | None = None
    estimated: Bool[Tensor, " L"] | None = None


def count_above(
    s: Float[Tensor, "*batch k"], eps: float | Float[Tensor, " E"], *, relative: bool = False
) -> Int64[Tensor, "*batch"] | Int64[Tensor, "*batch E"]:
    """Return how many singular values lie strictly above a threshold, int64.

    Args:
        s: singular values, (..., k), not negative, in any order.
        eps: the threshold, >= 0, or (E,) of them at once, which adds a last axis to the answer.
        relative: count sigma > eps * sigma_1 instead of sigma > eps. Where sigma_1 = 0 nothing is counted.

    Raises:
        TypeError, ValueError: if s is no float tensor, or s or eps is negative or not finite.

    With eps = 0 even a singular value of 1e-17, which is rounding, counts: a rank needs a cutoff. The
    customary one for a float64 matrix is relative, max(rows, columns) * 2.2e-16 (numpy's ``matrix_rank``).

    >>> s = torch.tensor([10.0, 1.0, 0.01])
    >>> count_above(s, 0.5).item(), count_above(s, 0.5, relative=True).item()
    (2, 1)
    """
    _checks.spectrum("s", s)
    thresholds = _checks.thresholds("eps", eps).to(s.device)
    values = s.to(torch.float64)
    top = values.amax(-1, keepdim=True) if relative else torch.ones_like(values[..., :1])
    # sorted ascending, the count above a threshold is k minus where it would be inserted after its equals
    cuts = (thresholds.reshape(-1) * top).contiguous()
    counts = s.shape[-1] - torch.searchsorted(values.sort(-1).values, cuts, right=True)
    return counts[..., 0] if thresholds.ndim == 0 else counts


def effective_rank(s: Float[Tensor, "*batch k"]) -> Float[Tensor, "*batch"]:
    """Return exp(entropy) of the singular values normalised to sum 1, float64 (Roy & Vetterli 2007).

    Of singular values, not of their squares (the covariance's eigenvalues), which give other numbers. Between 1
    and k; 0 where all are zero. Raises as :func:`count_above` for a bad ``s``.

    >>> effective_rank(torch.tensor([[2.0, 2.0, 2.0], [5.0, 0.0, 0.0], [0.0, 0.0, 0.0]])).round(decimals=12)
    tensor([3., 1., 0.], dtype=torch.float64)
    """
    _checks.spectrum("s", s)
    top = s.to(torch.float64).amax(-1, keepdim=True)
    scaled = s.to(torch.float64) / torch.where(top > 0, top, 1.0)
    p = scaled / scaled.sum(-1, keepdim=True).clamp_min(1.0)  # the sum is at least 1, unless all are zero
    return torch.where(top[..., 0] > 0, torch.special.entr(p).sum(-1).exp(), 0.0)


def stable_rank(s: Float[Tensor, "*batch k"]) -> Float[Tensor, "*batch"]:
    """Return sum sigma_i^2 / sigma_1^2 = ||J||_F^2 / ||J||_2^2, float64 (Rudelson & Vershynin 2007).

    Between 1 and the rank; 0 where all are zero. Raises as :func:`count_above` for a bad ``s``.

    >>> stable_rank(torch.tensor([2.0, 1.0, 1.0])).item()
    1.5
    """
    _checks.spectrum("s", s)
    values = s.to(torch.float64)
    top = values.amax(-1, keepdim=True)
    return (values / torch.where(top > 0, top, 1.0)).square().sum(-1)


def mean_and_stderr(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean over the first axis (the inputs) and its standard error, float64, (n, ...) -> (...) twice.

    The standard error is the sample standard deviation (n - 1) over sqrt(n); infinite for n = 1, where nothing
    is known of the spread.
    """
    values = values.to(torch.float64)
    n = values.shape[0]
    mean = values.mean(0)
    return mean, (values.std(0) / math.sqrt(n) if n > 1 else torch.full_like(mean, torch.inf))


def local_rank(
    net: nn.Module,
    x: Float[Tensor, "n *d"],
    *,
    eps: float = 0.1,
    relative: bool = False,
    layers: Sequence[str] | None = None,
    input_factor: Float[Tensor, "d r"] | None = None,
    chunk: int | None = None,
    tol: float | None = None,
    generator: torch.Generator | None = None,
) -> LocalRank:
    """Return LR_l^eps = E_x[#{i : sigma_i(dp_l/dx) > eps}], estimated over the inputs x, for every layer.

    The robust local rank of Patel & Shwartz-Ziv 2024 (arXiv 2410.07687). The count at each input is that of a
    float64 SVD (:func:`~lrlib.jacobian.jacobian_counts`, which also says when it must be estimated); the
    expectation is estimated, and its standard error is returned with it.

    Args:
        net: any module.
        x: the inputs to average over, a sample of the distribution that E_x is about.
        eps: the threshold, >= 0.
        relative: compare with eps * sigma_1(x) instead of eps. Scaling a layer changes the absolute local
            rank and not the relative one; a layer that collapses altogether does the opposite.
        layers, input_factor, chunk: as in :func:`~lrlib.jacobian.jacobian_spectra`.
        tol: stop early. Inputs are then taken in random order, without replacement, until every layer's standard
            error is at most tol times its mean, but not before 64 of them.
        generator: a CPU generator of that order, and of the random vectors where counts are estimated; default
            one seeded with 0.

    Returns:
        :class:`LocalRank`.

    Raises:
        TypeError, ValueError, FloatingPointError: as ``jacobian_spectra``, and for a bad eps or tol.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 2, bias=False))
        >>> _ = net[0].weight.data.copy_(torch.tensor([[1.0, 0, 0], [0, 0.01, 0]]))
        >>> local_rank(net, torch.ones(4, 3), eps=0.1).mean
        tensor([1.], dtype=torch.float64)
    """
    _checks.number("eps", eps)
    if tol is not None:
        _checks.number("tol", tol, exclusive=True)
        _checks.batch("x", x)
        generator = _checks.cpu_generator("generator", generator)
        x = x[torch.randperm(len(x), generator=generator).to(x.device)]
    options = {"layers": layers, "input_factor": input_factor, "chunk": chunk, "generator": generator}
    parts: list[Counts] = []
    for part in count_chunks(net, x, eps, relative=relative, **options):
        parts.append(part)
        if tol is not None and _accurate(parts, tol):
            break
    found = joined(parts)
    mean, stderr = mean_and_stderr(found.values[..., 0])
    return LocalRank(
        found.layers,
        mean,
        stderr,
        n=len(found.values),
        eps=float(eps),
        relative=relative,
        methods=found.methods,
        resolution=found.resolution,
        ties=found.ties[..., 0].sum(0),
        estimated=found.estimated,
    )


def _accurate(parts: list[Counts], tol: float) -> bool:
    counts = torch.cat([part.values[..., 0] for part in parts])
    mean, stderr = mean_and_stderr(counts)
    return len(counts) >= MINIMUM and bool((stderr <= tol * mean).all())


def covariance_root(x: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """Return Sigma_x^{1/2}, the symmetric root of the inputs' sample covariance (n - 1), (d, d) float64.

    J Sigma_x^{1/2} measures how p_l moves when x moves by one standard deviation of the data, direction by
    direction; directions in which the data do not vary count nothing. Raises for fewer than two inputs.
    """
    _checks.batch("x", x)
    if x.ndim != 2 or x.shape[0] < 2:
        raise ValueError(f"x: shape is {tuple(x.shape)}; a covariance needs (n, d) with n >= 2")
    values, vectors = torch.linalg.eigh(torch.cov(x.to(torch.float64).T).reshape(x.shape[1], x.shape[1]))
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
