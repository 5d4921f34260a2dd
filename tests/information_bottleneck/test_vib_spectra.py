"""Singular values of a code's Jacobian and covariance, against brute force and the linear case."""

import numpy as np
import pytest
import torch
from torch import nn
from vib_cases import X, linear_code, make

from lrlib.bottleneck import VIB, VIBStack, code_covariance_spectrum, mean_spectra, snr_spectra
from lrlib.information import gaussian_mi
from lrlib.nets import MLP
from lrlib.rank import covariance_root
from lrlib.runtime import generator

RESOLVED = 1e-4  # of the largest: smaller singular values are not told from zero
ROUNDING = 1e-9


def jacobian(vib, one):
    return torch.autograd.functional.jacobian(lambda v: vib.encode(v[None])[0][0], one)


@pytest.mark.parametrize("factor", [None, "root"])
def test_singular_values_are_those_of_the_whole_jacobian(factor):
    vib = make(code=3)
    root = None if factor is None else covariance_root(X)
    found, noisy = mean_spectra(vib, X, input_factor=root), snr_spectra(vib, X, input_factor=root)
    scale = vib.encode(X)[1].detach()
    for i, one in enumerate(X):
        j = jacobian(vib, one) @ (torch.eye(len(one)).double() if root is None else root)
        for values, matrix in ((found[i], j), (noisy[i], j / scale[i][:, None])):
            expected = np.linalg.svd(matrix.numpy())[1]
            kept = expected > 2 * RESOLVED * expected[0]
            np.testing.assert_allclose(values.numpy()[: len(expected)][kept], expected[kept], rtol=ROUNDING)


def test_any_encoder_will_do():
    encoder = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4)).double()
    vib = VIB(encoder, MLP([2, 3], generator=generator(0)).double(), code=2)
    expected = torch.linalg.svdvals(jacobian(vib, X[0]))
    torch.testing.assert_close(mean_spectra(vib, X[:1])[0], expected, rtol=ROUNDING, atol=ROUNDING)


def test_the_signal_to_noise_of_a_linear_gaussian_code_gives_its_information():
    a, scale = torch.tensor([[2.0, 0.5], [0.0, 0.3]]).double(), torch.tensor([0.5, 1.5]).double()
    mix = torch.tensor([[1.0, 0.0], [0.7, 0.4]]).double()
    cov = mix @ mix.T
    s = snr_spectra(linear_code(a, scale), torch.zeros(1, 2).double(), input_factor=mix)[0]
    truth = gaussian_mi(cov, a @ cov @ a.T + scale.square().diag(), cov @ a.T)
    assert 0.5 * torch.log1p(s.square()).sum().item() == pytest.approx(truth, rel=ROUNDING)


def test_the_global_reading_is_the_spectrum_of_the_codes_covariance():
    vib = make(code=3)
    mean = vib.encode(X)[0].detach().numpy()
    expected = np.sort(np.linalg.eigvalsh(np.cov(mean.T)))[::-1]
    np.testing.assert_allclose(code_covariance_spectrum(vib, X).numpy(), expected, rtol=ROUNDING)
    few = code_covariance_spectrum(vib, X[:2])  # rank one: the others are zero
    assert few.shape == (3,)
    assert few[1] < ROUNDING * few[0]
    with pytest.raises(ValueError, match="x: has 1 rows; a covariance needs at least 2"):
        code_covariance_spectrum(vib, X[:1])


def test_a_code_that_shrinks_as_a_whole_keeps_its_relative_rank_and_loses_its_absolute_one():
    """The artefact of a collapse: all singular values vanish together."""
    a = torch.diag(torch.tensor([1.0, 0.5])).double()
    for c in (1.0, 1e-6):
        s = mean_spectra(linear_code(c * a, torch.ones(2).double()), X[:1, :2])[0]
        assert (s > 0.1 * s[0]).sum() == 2
        assert (s > 0.1).sum() == (2 if c == 1 else 0)


@pytest.mark.parametrize("reading", [mean_spectra, snr_spectra, code_covariance_spectrum])
def test_a_stack_is_refused(reading):
    with pytest.raises(TypeError, match=r"vib: is a VIBStack; must be one VIB, such as stack\[0\]"):
        reading(VIBStack([make()]), X)
