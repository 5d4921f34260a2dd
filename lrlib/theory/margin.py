"""Homogeneous networks: margins, and how far a direction is from the KKT points of the margin problem."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lrlib import _checks


def normalised_margin(
    net: nn.Module, x: Float[Tensor, "n d"], y: Float[Tensor, " n"], *, degree: int
) -> float:
    """Return min_i y_i f(x_i) / ||theta||^L, the margin of the direction theta / ||theta||.

    Args:
        net: a network with one output that is homogeneous of degree L in its parameters, such as an
            :class:`~lrlib.nets.MLP` of L ReLU layers without biases.
        x, y: inputs (n, d) and their labels (n,), -1 or 1.
        degree: L >= 1.

    Raises:
        TypeError, ValueError: for labels other than -1 and 1, more than one output, parameters that are all zero, or
            a network that is not homogeneous of this degree (Euler's identity at these inputs fails).
    """
    outputs = _homogeneous_outputs(net, x, y, degree)
    return ((y * outputs).min() / _norm(net) ** degree).item()


def smoothed_margin(net: nn.Module, x: Float[Tensor, "n d"], y: Float[Tensor, " n"], *, degree: int) -> float:
    """Return -ln(sum_i exp(-y_i f(x_i))) / ||theta||^L.

    Gradient flow on the exponential loss never lowers it once it is positive (Lyu & Li 2020, lemma 5.1). It lies
    below :func:`normalised_margin`, by at most ln(n) / ||theta||^L. Arguments and errors as there.
    """
    margins = y * _homogeneous_outputs(net, x, y, degree)
    return (-torch.logsumexp(-margins, 0) / _norm(net) ** degree).item()


def kkt_alignment(net: nn.Module, x: Float[Tensor, "n d"], y: Float[Tensor, " n"]) -> float:
    """Return the cosine of theta and -grad of sum_i exp(-y_i f(x_i)), between -1 and 1.

    At a KKT point of min ||theta||^2 with y_i f(x_i) >= 1 the parameters are a combination of y_i grad f(x_i) with
    weights that are not negative and vanish off the margin. Along gradient flow, which gives those weights to the
    losses at the margin, the cosine tends to 1 (Lyu & Li 2020); scaling a KKT point gives all of them the same
    weight, and need not.

    Raises as :func:`normalised_margin`, but for homogeneity, which is not tried, and ``ValueError`` where the
    gradient is zero.
    """
    parameters = list(net.parameters())
    with torch.enable_grad():
        margins, norm = y * _outputs(net, x, y), _norm(net)
        # the gradient of the logarithm of the loss points the same way, and does not underflow
        slopes = torch.autograd.grad(-torch.logsumexp(-margins, 0), parameters, allow_unused=True)
    pairs = [(p.detach(), g) for p, g in zip(parameters, slopes, strict=True) if g is not None]
    along = sum((p * g).sum() for p, g in pairs)
    steepness = math.sqrt(sum(g.square().sum().item() for _, g in pairs))
    if steepness == 0:
        raise ValueError("net: its gradient is zero at all these inputs; the cosine is not defined")
    return (along / (norm * steepness)).item()


def _homogeneous_outputs(net: nn.Module, x: Tensor, y: Tensor, degree: int) -> Float[Tensor, " n"]:
    """Return the outputs; raise unless Euler's identity <theta, grad f> = degree f holds for their sum."""
    _checks.integer("degree", degree, minimum=1)
    parameters = list(net.parameters())
    with torch.enable_grad():
        outputs = _outputs(net, x, y)
        slopes = torch.autograd.grad(outputs.sum(), parameters, allow_unused=True)
    outputs = outputs.detach()
    radial = sum((p.detach() * g).sum() for p, g in zip(parameters, slopes, strict=True) if g is not None)
    if abs(radial - degree * outputs.sum()) > 1e-3 * degree * outputs.abs().sum():
        raise ValueError(
            f"degree={degree}: <theta, grad f> must be degree times f, and is {radial / outputs.sum():g} times it"
        )
    return outputs


def _outputs(net: nn.Module, x: Tensor, y: Tensor) -> Float[Tensor, " n"]:
    _checks.batch("x", x)
    _checks.real_floating("y", y)
    if y.shape != x.shape[:1] or not ((y == 1) | (y == -1)).all():
        raise ValueError(
            f"y: shape is {tuple(y.shape)}; must be {tuple(x.shape[:1])}, and every label -1 or 1"
        )
    outputs = net(x)
    if outputs.shape != (len(x), 1):
        raise ValueError(f"net: its output has the shape {tuple(outputs.shape)}; must be ({len(x)}, 1)")
    return outputs[:, 0]


def _norm(net: nn.Module) -> float:
    found = math.sqrt(sum(p.detach().double().square().sum().item() for p in net.parameters()))
    if found == 0:
        raise ValueError("net: all its parameters are zero; a direction is needed")
    return found
