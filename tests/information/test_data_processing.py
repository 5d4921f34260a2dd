"""What every information must satisfy, on random Gaussian chains X -> T_1 -> T_2: exact values and estimates."""

from itertools import pairwise

import pytest
import torch

from lrlib.information import gaussian_fit_mi, gaussian_mi, kde_mi, ksg_mi, logdet_mi

ROUNDING = 1e-9  # relative: float64 through whitening, condition numbers up to about 1e4


def chain(seed: int, *, noise: float = 0.5):
    """Return random covariances of X, T_1 = A X + noise, T_2 = B T_1 + noise, and of X with each, by name.

    Dimensions are drawn from 1 to 6; A and B may lose directions, and now and then X has a singular covariance.
    """
    g = torch.Generator().manual_seed(seed)
    d, d_1, d_2 = torch.randint(1, 7, (3,), generator=g).tolist()
    rank = int(torch.randint(1, d + 1, (1,), generator=g))
    root = torch.randn(d, rank, generator=g, dtype=torch.float64)
    a = torch.randn(d_1, d, generator=g, dtype=torch.float64)
    b = torch.randn(d_2, d_1, generator=g, dtype=torch.float64)
    x = root @ root.T
    t_1 = a @ x @ a.T + noise * torch.eye(d_1, dtype=torch.float64)
    t_2 = b @ t_1 @ b.T + noise * torch.eye(d_2, dtype=torch.float64)
    return {"x": x, "1": t_1, "2": t_2, "x1": x @ a.T, "x2": x @ a.T @ b.T, "12": t_1 @ b.T}


@pytest.mark.parametrize("seed", range(100))
def test_data_processing_never_adds_information(seed):
    c = chain(seed)
    first = gaussian_mi(c["x"], c["1"], c["x1"])
    second = gaussian_mi(c["x"], c["2"], c["x2"])
    slack = ROUNDING * (1 + first)
    assert 0 <= second <= first + slack
    assert second <= gaussian_mi(c["1"], c["2"], c["12"]) + slack


@pytest.mark.parametrize("seed", range(30))
def test_gaussian_mi_is_symmetric(seed):
    c = chain(seed)
    forth, back = gaussian_mi(c["x"], c["1"], c["x1"]), gaussian_mi(c["1"], c["x"], c["x1"].T)
    assert forth == pytest.approx(back, rel=ROUNDING)


@pytest.mark.parametrize("seed", range(30))
def test_an_invertible_map_changes_nothing_and_the_chain_rule_holds(seed):
    c = chain(seed)
    d_1 = len(c["1"])
    mix = torch.randn(d_1, d_1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mixed = gaussian_mi(c["x"], mix @ c["1"] @ mix.T, c["x1"] @ mix.T)
    first = gaussian_mi(c["x"], c["1"], c["x1"])
    assert mixed == pytest.approx(
        first, rel=1e-6
    )  # a random square matrix may have a condition of 1e3, squared
    # T_2 adds nothing to T_1 about X
    both = torch.cat([torch.cat([c["1"], c["12"]], 1), torch.cat([c["12"].T, c["2"]], 1)])
    assert gaussian_mi(c["x"], both, torch.cat([c["x1"], c["x2"]], 1)) == pytest.approx(first, rel=1e-6)


def sampled_chain(seed: int, n: int):
    g = torch.Generator().manual_seed(seed)
    x, e_1, e_2 = torch.randn(3, n, generator=g, dtype=torch.float64)
    return x, x + 0.5 * e_1, x + 0.5 * e_1 + e_2


@pytest.mark.parametrize("estimate", [ksg_mi, gaussian_fit_mi])
@pytest.mark.parametrize("seed", range(3))
def test_estimates_see_the_loss_along_the_chain(estimate, seed):
    # exact: 1/2 ln(1 + 1 / 0.25) = 0.80 nats, then 1/2 ln(1 + 1 / 1.25) = 0.29: ten standard errors apart
    x, t_1, t_2 = sampled_chain(seed, 1000)
    first, second = estimate(x, t_1), estimate(x, t_2)
    assert second.value < first.value - 3 * (first.stderr + second.stderr)


@pytest.mark.parametrize("seed", range(3))
def test_more_noise_lowers_every_reading_of_a_channel(seed):
    t = sampled_chain(seed, 300)[1]
    readings = [(*kde_mi(t, noise), logdet_mi(t, noise)) for noise in (0.01, 0.1, 1.0, 10.0)]
    for less, more in pairwise(readings):
        assert all(after.value < before.value for before, after in zip(less, more, strict=True))
