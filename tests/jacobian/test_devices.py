"""What a GPU would feel: no waiting for the host at every input; and the same counts where there is one."""

from collections import Counter

import pytest
import torch
from jacobian_cases import random_network, seeded, sequential
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lrlib import jacobian_counts, jacobian_spectra, local_rank
from lrlib.nets import MLP
from lrlib.runtime import generator


class Operations(TorchDispatchMode):
    """Counts the operations that torch is asked for; reading a number off a device is _local_scalar_dense."""

    def __init__(self):
        super().__init__()
        self.counted = Counter()

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        self.counted[str(function)] += 1
        return function(*arguments, **(keywords or {}))


READ = "aten._local_scalar_dense.default"


def operations(ask, module, x):
    with Operations() as found:
        ask(module, x)
    return found.counted


NET = MLP([10, 24, 24, 16, 5], init="he", generator=generator(0))
MODULE = sequential(NET)
CNN = seeded(lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 4)))
X = torch.randn(64, 10, generator=generator(1))
IMAGES = torch.randn(64, 1, 5, 5, generator=generator(2))

QUESTIONS = {
    "one threshold": lambda module, x: jacobian_counts(module, x, 0.3, chunk=64),
    "many thresholds": lambda module, x: jacobian_counts(module, x, torch.linspace(0.1, 1, 9), chunk=64),
    "relative": lambda module, x: jacobian_counts(module, x, 0.1, relative=True, chunk=64),
    "below the gram matrix": lambda module, x: jacobian_counts(module, x, 1e-10, relative=True, chunk=64),
    "spectra": lambda module, x: jacobian_spectra(module, x, chunk=64),
    "coarse spectra": lambda module, x: jacobian_spectra(module, x, resolution=1e-3, chunk=64),
    "local rank": lambda module, x: local_rank(module, x, chunk=64),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    ("module", "x"), [(NET, X), (MODULE, X), (CNN, IMAGES)], ids=["chain", "module", "convolution"]
)
def test_what_is_asked_of_the_device_does_not_grow_with_the_inputs_of_a_chunk(question, module, x):
    few, many = (operations(QUESTIONS[question], module, x[:n]) for n in (16, 64))
    assert many[READ] <= few[READ]
    assert 0 < many.total() < few.total() + 10


def test_the_measurement_sees_a_loop_over_inputs():
    def loop(module, x):
        for one in x:
            jacobian_counts(module, one.unsqueeze(0), 0.3)

    few, many = (operations(loop, NET, X[:n]) for n in (2, 4))
    assert many[READ] > 1.9 * few[READ] > 0
    assert many.total() > 1.9 * few.total()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("relative", [False, True])
def test_cuda_and_cpu_count_alike(activation, relative):
    eps, sure = torch.logspace(-9, 0, 12, dtype=torch.float64), []
    for seed in (0, 5, 10, 20, 25, 30):  # no dead layers, whose zeros would all be ties
        net, x = random_network(activation, seed)
        for module in (net, sequential(net)):
            here = jacobian_counts(module, x, eps, relative=relative)
            there = jacobian_counts(module.cuda(), x.cuda(), eps, relative=relative)
            module.cpu()
            assert there.values.is_cpu
            sure.append(~(here.ties | there.ties))
            assert torch.equal(there.values[sure[-1]], here.values[sure[-1]])
            for a, b in zip(
                jacobian_spectra(module, x).values,
                jacobian_spectra(module.cuda(), x.cuda()).values,
                strict=True,
            ):
                torch.testing.assert_close(a, b, rtol=0, atol=1e-12 * float(a.amax()))
            module.cpu()
    assert torch.cat([found.flatten() for found in sure]).double().mean() > 0.8
