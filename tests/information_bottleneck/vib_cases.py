"""Small VIBs in float64 that the tests share, and torch.distributions' view of the same laws."""

import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from lrlib.bottleneck.vib import VIB
from lrlib.nets import MLP
from lrlib.runtime import generator

N, D, CLASSES = 9, 4, 3
X = torch.randn(N, D, generator=generator(100), dtype=torch.float64)
Y = torch.arange(N) % CLASSES


def make(marginal=None, *, code=2, seed=0):
    """A VIB whose scales are about 0.1 to 3 and whose marginal is no longer at its start."""
    g = generator(seed)
    encoder = MLP([D, 6, 2 * code], activation="tanh", generator=g)
    decoder = MLP([code, 5, CLASSES], activation="tanh", generator=g)
    vib = VIB(encoder, decoder, code=code, marginal=marginal, generator=g).double()
    with torch.no_grad():
        for p in vib.parameters():
            p.add_(0.5 * torch.randn(p.shape, generator=g, dtype=p.dtype))
        encoder.L2.bias[code:] += 5
    return vib


def linear_code(a, scale):
    """A VIB with mean A x, a constant scale and a linear decoder of two classes."""
    code, d = a.shape
    g = generator(0)
    vib = VIB(MLP([d, 2 * code], generator=g), MLP([code, 2], generator=g), code=code).double()
    with torch.no_grad():
        vib.encoder.L1.weight.copy_(torch.cat([a, torch.zeros_like(a)]))
        vib.encoder.L1.bias.copy_(torch.cat([torch.zeros(code), torch.expm1(scale).log() + 5]))
    return vib


def code_law(vib, x=X):
    """q(z|x) by torch.distributions: one law for each x."""
    mean, scale = vib.encode(x)
    return Independent(Normal(mean, scale), 1)


def marginal_law(vib):
    if vib.marginal is None:
        zeros = torch.zeros(vib.code, dtype=torch.float64)
        return Independent(Normal(zeros, torch.ones_like(zeros)), 1)
    components = Independent(Normal(vib.mixture_means, vib.mixture_log_scales.exp()), 1)
    return MixtureSameFamily(Categorical(logits=vib.mixture_logits), components)
