"""Counts and spectra of 520 random networks against numpy, and of their twins that are plain modules."""

import numpy as np
import pytest
import torch
from jacobian_cases import ACTIVATIONS, Tally, brute_force, random_network, sequential

from lrlib import jacobian_counts, jacobian_spectra, reference
from lrlib.nets import ACTIVATIONS as OFFERED
from lrlib.runtime import generator

SEEDS = range(52)
WIDE = 48  # from this seed on, widths up to 150


def case(activation, seed):
    return random_network(activation, seed, widest=40 if seed < WIDE else 150)


def thresholds(spectra, seed, number):
    """Relative thresholds spread over 1e-7 ... 1, and a sigma_1 that makes absolute ones of them."""
    g = generator(seed)
    eps = 10 ** (-7 * torch.rand(number, generator=g, dtype=torch.float64))
    tops = spectra[int(torch.randint(len(spectra), (), generator=g))][0][:, 0]
    top = float(tops[int(torch.randint(len(tops), (), generator=g))])
    return eps, top if top > 0 else 1.0


def test_the_oracle_knows_every_activation_and_agrees_with_autograd():
    assert set(ACTIVATIONS) == set(OFFERED)
    for activation in ACTIVATIONS:
        net, x = random_network(activation, 2)
        for name, (s, rounding) in zip(net.layers, brute_force(net, x), strict=True):
            expected = reference.spectra(net, x, name).numpy()
            assert (np.abs(s - expected) <= rounding[:, None]).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_counts_equal_numpys(activation):
    tally = Tally()
    for seed in SEEDS:
        net, x = case(activation, seed)
        spectra = brute_force(net, x)
        # one or two absolute thresholds, more of them, and relative ones are counted in different ways
        for number, relative in ((1 + seed % 2, False), (6, False), (1, True), (6, True)):
            eps, top = thresholds(spectra, 10 * seed + number + relative, number)
            eps = eps if relative else eps * top
            found = jacobian_counts(net, x, eps[0] if number == 1 else eps, relative=relative)
            assert found.layers == net.layers
            assert found.values.shape == (len(x), len(net.layers), number)
            tally.check(found, spectra, eps.numpy(), relative)
    tally.assert_strict()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_counts_of_a_plain_module_equal_numpys(activation):
    tally = Tally()
    for seed in SEEDS[1:WIDE:4]:
        net, x = case(activation, seed)
        spectra = brute_force(net, x)
        for number, relative in ((1, False), (4, seed % 3 == 0)):
            eps, top = thresholds(spectra, 10 * seed + number, number)
            eps = eps if relative else eps * top
            found = jacobian_counts(sequential(net), x, eps, relative=relative)
            tally.check(found, spectra, eps.numpy(), relative)
    tally.assert_strict(between=0.2)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_spectra_equal_numpys(activation):
    gram = 0
    for seed in SEEDS[::3]:
        net, x = case(activation, seed)
        spectra = brute_force(net, x)
        for module in (net, sequential(net)) if seed % 2 == 0 else (net,):
            for resolution in (0.0, 1e-4):
                found = jacobian_spectra(module, x, resolution=resolution)
                for l, (s, rounding) in enumerate(spectra):
                    got, room = found.values[l].numpy(), rounding[:, None]
                    assert got.shape == s.shape
                    assert (np.diff(got) <= 0).all()
                    if "gram" in found.methods[l]:
                        gram += 1
                        assert found.resolution[l] <= resolution
                        # a Gram matrix tells squares apart: |got^2 - s^2| <= r^2 says |got - s| <= r, r^2 / s
                        r = found.resolution[l].item() * s[:, :1]
                        room = room + np.minimum(r, r**2 / np.maximum(s, 1e-300))
                    assert (np.abs(got - s) <= room).all(), (seed, l, resolution)
    assert gram > 20
