"""Plain modules of many kinds: their spectra and counts are those of a brute force on the float64 twin."""

import numpy as np
import pytest
import torch
from jacobian_cases import Tally, seeded
from module_networks import NETWORKS, build
from torch import nn

from lrlib import jacobian_counts, jacobian_spectra, local_rank, reference
from lrlib.runtime import generator

EPS = torch.tensor([1e-6, 1e-3, 0.03, 0.1, 0.3, 0.6], dtype=torch.float64)
# Automatic differentiation here and there takes the same factors, of norms within some 100 of sigma_1, in another
# order: a hundred roundings of those.
ROUNDING = 1e-12


def factored(net, x, layer, factor):
    """Singular values of J A, one SVD at a time."""
    found = reference.jacobians(net, x, layer)
    return torch.stack([torch.linalg.svdvals(j if factor is None else j @ factor.double()) for j in found])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("dtype", "columns"),
    [(torch.float32, None), (torch.float64, None), (torch.float32, 3), (torch.float64, 40)],
)
def test_spectra_and_counts_equal_the_brute_force(name, dtype, columns):
    net, x = build(name)
    net, x = net.to(dtype), x.to(dtype)
    factor = None if columns is None else torch.randn(32, columns, generator=generator(2)).to(dtype)
    tally = Tally()
    # all outputs together have more entries than x and go forward; the last one alone goes in reverse
    for layers in (None, NETWORKS[name][2], NETWORKS[name][1][-1:]):
        spectra = jacobian_spectra(net, x, layers=layers, input_factor=factor)
        assert list(spectra.layers) == (NETWORKS[name][1] if layers is None else layers)
        expected = []
        for layer in spectra.layers:
            s = factored(net, x, layer, factor)
            torch.testing.assert_close(spectra[layer], s, rtol=0, atol=ROUNDING * float(s.amax()))
            expected.append((s.numpy(), ROUNDING * np.full(len(x), float(s.amax()))))
        coarse = jacobian_spectra(net, x, layers=layers, input_factor=factor, resolution=1e-4)
        for layer, (s, _) in zip(coarse.layers, expected, strict=True):
            # an error of (1e-4 sigma_1)^2 of the squares is one of 1e-8 sigma_1 of values near sigma_1
            large = torch.from_numpy(s > 1e-2 * s[:, :1])
            torch.testing.assert_close(coarse[layer][large], torch.from_numpy(s)[large], rtol=1e-4, atol=0)
        for relative in (False, True):
            eps = EPS if relative else EPS * max(float(s.max()) for s, _ in expected)
            counts = jacobian_counts(net, x, eps, layers=layers, input_factor=factor, relative=relative)
            assert counts.layers == spectra.layers
            tally.check(counts, expected, eps.numpy(), relative)
            one = jacobian_counts(net, x, eps[3], layers=layers, input_factor=factor, relative=relative)
            tally.check(one, expected, eps[3:4].numpy(), relative)
    tally.assert_strict(between=0.1)  # of three columns, most thresholds keep all or one


@pytest.mark.parametrize(("layers", "forward"), [(["0"], True), (["10"], False), (["0", "10"], True)])
def test_the_mode_that_needs_fewer_passes_is_taken(layers, forward, monkeypatch):
    net, x = build("convolutions")
    calls = {"vjp": 0, "jvp": 0}
    for mode in calls:
        original = getattr(torch.func, mode)

        def counted(*arguments, original=original, mode=mode):
            calls[mode] += 1
            return original(*arguments)

        monkeypatch.setattr(f"lrlib.jacobian.module.{mode}", counted)
    jacobian_spectra(net, x, layers=layers)
    assert (calls["jvp"] > 0) == forward
    assert (calls["vjp"] > 0) != forward


def test_default_layers_are_those_called_and_only_linear_and_convolutional_ones():
    net, x = build("attention")
    assert isinstance(net.mixer.attention.out_proj, nn.Linear)  # a weight that no call of its own uses
    assert jacobian_counts(net, x, 0.1).layers == ("embed", "head")
    assert local_rank(net, x).layers == ("embed", "head")
    volume = nn.Sequential(nn.Conv3d(1, 2, 2), nn.Flatten(), nn.Unflatten(1, (2, 1)), nn.Conv1d(2, 3, 1))
    assert jacobian_counts(volume, torch.randn(2, 1, 2, 2, 2), 0.1).layers == ("0", "3")
    with pytest.raises(ValueError, match="net: no Linear or Conv module is called"):
        jacobian_counts(nn.Sequential(nn.Tanh(), nn.LayerNorm(4)), torch.randn(2, 4), 0.1)
    assert jacobian_counts(nn.Tanh(), torch.randn(2, 4), 0.1, layers=[""]).values.shape == (2, 1, 1)


def test_running_statistics_and_not_the_batch_s_are_used():
    net, x = build("normed")
    whole, alone = (jacobian_spectra(net, part)["inner.4"][:1] for part in (x, x[:1]))
    torch.testing.assert_close(whole, alone, rtol=0, atol=1e-14)
    net.inner[1].running_var *= 100
    torch.testing.assert_close(
        jacobian_spectra(net, x)["inner.4"], reference.spectra(net, x, "inner.4"), rtol=0, atol=1e-13
    )


def test_an_output_that_does_not_depend_on_the_input_has_rank_zero():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.other = nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.first(x).sum() + self.other(torch.ones(len(x), 3, dtype=x.dtype))

    net = seeded(Constant)
    found = jacobian_counts(net, torch.ones(2, 4), torch.tensor([1e-9, 0.1]), layers=["first", "other"])
    rank = torch.linalg.matrix_rank(net.first.weight.double())
    assert (found["first"][:, 0] == rank).all()
    assert (found["other"] == 0).all()
