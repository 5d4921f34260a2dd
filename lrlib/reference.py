"""Slow, obvious twins of the fast code, in float64: oracles for tests and chapters. Nothing else imports them."""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn


def jacobians(net: nn.Module, x: Float[Tensor, "n *d"], layer: str) -> list[Float[Tensor, "n_l d"]]:
    """Return dp_l/dx for one layer, one input after another, by reverse-mode autograd in float64.

    ``layer`` names the submodule of ``net`` whose output is p_l; outputs and inputs are flattened.
    """
    twin = copy.deepcopy(net).double().eval()
    kept: dict[str, Tensor] = {}
    twin.get_submodule(layer).register_forward_hook(lambda _m, _i, out: kept.update(p=out.clone()))

    def preactivation(one: Tensor) -> Tensor:
        twin(one.unsqueeze(0))
        return kept["p"].flatten()

    return [
        torch.autograd.functional.jacobian(preactivation, one).flatten(start_dim=1)
        for one in x.detach().double()
    ]


def spectra(net: nn.Module, x: Float[Tensor, "n *d"], layer: str) -> Float[Tensor, "n k_l"]:
    """Return the singular values of :func:`jacobians`, (n, k_l), descending, one SVD at a time."""
    return torch.stack([torch.linalg.svdvals(jacobian) for jacobian in jacobians(net, x, layer)])
