"""The ways to count a network's singular values, and the networks at which ``spectra.py`` measures them."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from lrlib import data, runtime
from lrlib.jacobian import jacobian_counts, jacobian_spectra
from lrlib.nets import MLP
from lrlib.rank import count_above
from lrlib.train import train

THRESHOLDS = torch.tensor([1e-3, 1e-2, 0.1, 1.0], dtype=torch.float64)
ONE = torch.tensor([0.1], dtype=torch.float64)
STEPS = 400  # of SGD before anything is measured, so that units are as active as in a trained network

Counter = Callable[[Tensor], Tensor]  # inputs (n, d) -> counts (n, layers, thresholds)


@dataclass(frozen=True)
class Network:
    """A network, what it is trained on, and how many inputs it is measured at.

    Attributes:
        slow, medium, fast: inputs given to the brute forces, to our spectra and to our counts: the first of the same.
        chunk: inputs that vmap(jacrev) differentiates at once. On one core 1 was the fastest of 1, 2, 4, 8 and 16,
            or within 6% of it, since Jacobians soon leave the caches, and it needs the least memory.
    """

    dataset: str
    hidden: tuple[int, ...]
    activation: str
    slow: int
    medium: int
    fast: int
    chunk: int = 1


@dataclass(frozen=True)
class Method:
    """One way to count. ``prepare(net, layers, chunk)`` does once what a user does once for many inputs."""

    label: str
    prepare: Callable[[MLP, Sequence[str], int], Counter]
    eps: Tensor = THRESHOLDS
    one_layer: bool = False
    pace: str = "slow"
    ours: bool = False

    def layers(self, net: MLP) -> tuple[str, ...]:
        """Return the names of the layers that are asked for: all, or the middle one."""
        return (net.layers[len(net.layers) // 2],) if self.one_layer else net.layers

    def inputs(self, network: Network) -> int:
        """Return how many inputs this method is measured at."""
        return getattr(network, self.pace)

    def counter(self, net: MLP, network: Network) -> Counter:
        """Return the prepared method."""
        return self.prepare(net, self.layers(net), network.chunk)


def loop(net: MLP, layers: Sequence[str], chunk: int) -> Counter:
    """Return the loop a user writes: input after input, layer after layer, one matrix_rank a threshold."""
    twin = copy.deepcopy(net).requires_grad_(False)

    def ranks(one: Tensor, layer: str) -> Tensor:
        place = twin.layers.index(layer)
        jacobian = torch.autograd.functional.jacobian(
            lambda v: twin.preactivations(v.unsqueeze(0))[place][0], one
        )
        found = [torch.linalg.matrix_rank(jacobian, atol=eps, rtol=0.0) for eps in THRESHOLDS.tolist()]
        return torch.stack(found)

    return lambda x: torch.stack([torch.stack([ranks(one, layer) for layer in layers]) for one in x])


def brute_force(dtype: torch.dtype, *, tall: bool = False) -> Callable[[MLP, Sequence[str], int], Counter]:
    """Return vmap(jacrev) of all layers at once and svdvals; ``tall`` turns Jacobians with more columns than rows."""

    def prepare(net: MLP, layers: Sequence[str], chunk: int) -> Counter:
        # with requires_grad svdvals would find the singular vectors as well, for a backward pass that never comes
        twin = copy.deepcopy(net).to(dtype).requires_grad_(False)
        places = [twin.layers.index(layer) for layer in layers]

        def outputs(one: Tensor) -> tuple[Tensor, ...]:
            found = twin.preactivations(one.unsqueeze(0))
            return tuple(found[place][0] for place in places)

        def values(jacobian: Tensor) -> Tensor:
            wide = jacobian.shape[-2] < jacobian.shape[-1]
            return torch.linalg.svdvals(jacobian.mT.contiguous() if tall and wide else jacobian)

        def counts(x: Tensor) -> Tensor:
            differentiate = vmap(jacrev(outputs))
            return torch.cat([
                torch.stack([count_above(values(j), THRESHOLDS) for j in differentiate(part)], dim=1)
                for part in x.to(dtype).split(chunk)
            ])  # fmt: skip

        return counts

    return prepare


def our_counts(eps: Tensor) -> Callable[[MLP, Sequence[str], int], Counter]:
    """Return jacobian_counts at these thresholds."""
    return lambda net, layers, _chunk: lambda x: jacobian_counts(net, x, eps, layers=layers).values


def our_spectra(resolution: float) -> Callable[[MLP, Sequence[str], int], Counter]:
    """Return jacobian_spectra, its values compared with the thresholds afterwards."""

    def prepare(net: MLP, layers: Sequence[str], _chunk: int) -> Counter:
        def counts(x: Tensor) -> Tensor:
            found = jacobian_spectra(net, x, layers=layers, resolution=resolution)
            return torch.stack([count_above(values, THRESHOLDS) for values in found.values], dim=1)

        return counts

    return prepare


METHODS = {
    "loop": Method("loop of jacobian + matrix_rank, float32", loop),
    "float32": Method("vmap(jacrev) + svdvals, float32", brute_force(torch.float32)),
    "float64": Method("vmap(jacrev) + svdvals, float64", brute_force(torch.float64)),
    "tall32": Method("vmap(jacrev) + svdvals of wide J^T, float32", brute_force(torch.float32, tall=True)),
    "tall64": Method("vmap(jacrev) + svdvals of wide J^T, float64", brute_force(torch.float64, tall=True)),
    "counts": Method("jacobian_counts, 4 thresholds", our_counts(THRESHOLDS), pace="fast", ours=True),
    "count": Method("jacobian_counts, 1 threshold", our_counts(ONE), eps=ONE, pace="fast", ours=True),
    "exact": Method("jacobian_spectra", our_spectra(0.0), pace="medium", ours=True),
    "gram": Method("jacobian_spectra, resolution=1e-4", our_spectra(1e-4), pace="medium", ours=True),
    "float32 one": Method(
        "vmap(jacrev) + svdvals, float32, 1 layer", brute_force(torch.float32), one_layer=True
    ),
    "float64 one": Method(
        "vmap(jacrev) + svdvals, float64, 1 layer", brute_force(torch.float64), one_layer=True
    ),
    "count one": Method(
        "jacobian_counts, 1 threshold, 1 layer",
        our_counts(ONE),
        eps=ONE,
        one_layer=True,
        pace="fast",
        ours=True,
    ),
}

NETWORKS = {
    "mnist-200x5": Network("mnist", (200,) * 5, "relu", slow=8, medium=32, fast=128),
    "mnist-512x4": Network("mnist", (512,) * 4, "relu", slow=4, medium=16, fast=64),
    "mnist-1024x4": Network("mnist", (1024,) * 4, "relu", slow=2, medium=16, fast=48),
    "digits-200x5": Network("digits", (200,) * 5, "relu", slow=8, medium=32, fast=128),
    "mnist-200x5-tanh": Network("mnist", (200,) * 5, "tanh", slow=8, medium=32, fast=128),
    "mnist-512x4-gelu": Network("mnist", (512,) * 4, "gelu", slow=4, medium=16, fast=64),
}


def trained(network: Network) -> tuple[MLP, Tensor]:
    """Return the network after STEPS steps of SGD, and test inputs to measure at, drawn at random."""
    train_set, test_set = data.standardise(
        data.load(network.dataset), data.load(network.dataset, split="test")
    )
    generator = runtime.generator(0)
    widths = [train_set.x.shape[1], *network.hidden, len(train_set.classes)]
    net = MLP(widths, activation=network.activation, generator=generator)
    options = {"steps": STEPS, "lr": 0.1, "batch_size": 128, "progress": False}
    train(net, train_set.x, train_set.y, generator=generator, **options)
    return net, test_set.x[torch.randperm(len(test_set), generator=generator)[: network.fast]].clone()
