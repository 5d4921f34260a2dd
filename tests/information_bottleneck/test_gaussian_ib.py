"""The closed form of the Gaussian bottleneck against definitions, brute force and the laws that it must obey."""

import math

import numpy as np
import pytest
import torch
from covariance_cases import blocks, informations, lagrangian, random_covariances, with_correlations
from scipy.linalg import eigh
from scipy.optimize import minimize
from sklearn.cross_decomposition import CCA

from lrlib.bottleneck import gaussian_ib, gaussian_ib_curve
from lrlib.information import gaussian_mi

ROUNDING = 1e-10  # float64 through two whitenings of matrices with condition numbers up to about 1e3
BITS = math.log(2)
YARDSTICK = with_correlations([0.8])  # FACTS, section 4


def test_the_scalar_yardstick():
    assert gaussian_ib(*YARDSTICK, 1).critical_betas.item() == pytest.approx(1.5625, rel=1e-12)
    assert gaussian_mi(*YARDSTICK) / BITS == pytest.approx(0.7370, abs=5e-5)
    for beta, i_xt, i_ty in ((2, 0.4150, 0.2370), (5, 1.4150, 0.5760), (20, 2.5390, 0.7000)):
        found = gaussian_ib(*YARDSTICK, beta)
        assert found.i_xt / BITS == pytest.approx(i_xt, abs=5e-5)  # the yardstick has four decimals
        assert found.i_ty / BITS == pytest.approx(i_ty, abs=5e-5)


@pytest.mark.parametrize(("d", "m"), [(1, 1), (4, 3), (3, 5), (6, 6)])
@pytest.mark.parametrize("beta", [0.5, 2.0, 7.0, 60.0])
def test_what_is_returned_is_what_the_encoder_does(d, m, beta):
    covariances = random_covariances(d, m, seed=d)
    found = gaussian_ib(*covariances, beta)
    i_xt, i_ty = informations(found.encoder, *covariances)
    assert found.i_xt == pytest.approx(i_xt, abs=ROUNDING)
    assert found.i_ty == pytest.approx(i_ty, abs=ROUNDING)
    assert found.lagrangian == found.i_xt - beta * found.i_ty
    a, (cov_x, cov_y, cov_xy) = found.encoder, covariances
    cov_t = a @ cov_x @ a.T + torch.eye(d, dtype=torch.float64)
    assert gaussian_mi(cov_t, cov_y, a @ cov_xy) == pytest.approx(found.i_ty, abs=ROUNDING)
    values = torch.linalg.eigvalsh(a @ cov_x @ a.T).flip(0).clamp_min(0)
    torch.testing.assert_close(found.singular_values.square(), values, rtol=1e-9, atol=ROUNDING)
    assert torch.linalg.matrix_rank(a).item() == found.rank


@pytest.mark.parametrize(("d", "m"), [(4, 3), (3, 5), (6, 6)])
def test_eigenvalues_are_those_of_the_normalised_matrix(d, m):
    cov_x, cov_y, cov_xy = (c.numpy() for c in random_covariances(d, m, seed=7))
    conditional = cov_x - cov_xy @ np.linalg.solve(cov_y, cov_xy.T)
    expected = eigh(conditional, cov_x, eigvals_only=True)  # Sigma_{x|y} v = lambda Sigma_x v
    found = gaussian_ib(*map(torch.from_numpy, (cov_x, cov_y, cov_xy)), 2.0)
    np.testing.assert_allclose(found.eigenvalues.numpy(), expected, atol=ROUNDING)
    said = 1 / (1 - expected[: min(d, m)])
    np.testing.assert_allclose(found.critical_betas[: min(d, m)].numpy(), said, rtol=1e-8)
    assert found.critical_betas[min(d, m) :].tolist() == [math.inf] * (d - min(d, m))


def test_directions_are_those_of_scikit_learns_cca():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(500, 4, generator=g, dtype=torch.float64)
    y = x @ torch.randn(4, 3, generator=g, dtype=torch.float64) + 2 * torch.randn(500, 3, generator=g)
    cov_x, cov_y, cov_xy = blocks(torch.cov(torch.cat([x, y], 1).T), 4)
    found = gaussian_ib(cov_x, cov_y, cov_xy, 1e6)
    rotations = torch.from_numpy(
        CCA(n_components=3, scale=False, tol=1e-12, max_iter=10_000).fit(x, y).x_rotations_
    )
    centred = x - x.mean(0)
    ours, theirs = centred @ found.encoder[:3].T, centred @ rotations
    cosines = torch.nn.functional.cosine_similarity(ours, theirs, dim=0).abs()
    torch.testing.assert_close(cosines, torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("beta", [1.5, 3.0, 12.0])
@pytest.mark.parametrize("seed", range(3))
def test_no_encoder_does_better(beta, seed):
    covariances = random_covariances(3, 3, seed)
    best = gaussian_ib(*covariances, beta)
    g = torch.Generator().manual_seed(seed)
    for scale in (0.01, 0.1, 1.0, 10.0):
        for _ in range(50):
            step = scale * torch.randn(3, 3, generator=g, dtype=torch.float64)
            for a in (step, best.encoder + step):
                assert lagrangian(a, covariances, beta) >= best.lagrangian - 1e-12
    found = min(
        minimize(
            lambda a: lagrangian(torch.from_numpy(a.reshape(3, 3)), covariances, beta),
            torch.randn(9, generator=g).double().numpy(),
            tol=1e-10,
        ).fun
        for _ in range(3)
    )
    assert found >= best.lagrangian - 1e-12
    assert found == pytest.approx(best.lagrangian, abs=1e-6)  # scipy's differences stop there


@pytest.mark.parametrize("beta", [1.5, 3.0, 12.0])
def test_the_gradient_vanishes_at_the_encoder_and_the_curvature_is_not_negative(beta):
    covariances = random_covariances(4, 4, seed=1)
    flat = gaussian_ib(*covariances, beta).encoder.flatten()

    def of(a):
        cov_x, cov_y, cov_xy = covariances
        a = a.reshape(4, 4)
        unit = torch.eye(4, dtype=torch.float64)
        given_y = cov_x - cov_xy @ torch.linalg.solve(cov_y, cov_xy.T)
        i_xt = torch.logdet(unit + a @ cov_x @ a.T) / 2
        return i_xt - beta * (i_xt - torch.logdet(unit + a @ given_y @ a.T) / 2)

    assert torch.func.grad(of)(flat).abs().max() < 1e-9
    assert torch.linalg.eigvalsh(torch.func.hessian(of)(flat))[0] > -1e-8


@pytest.mark.parametrize("seed", range(4))
def test_the_curve_is_concave_and_monotone_with_slope_one_over_beta(seed):
    covariances = random_covariances(5, 4, seed)
    betas = torch.logspace(0, 3, 2000, dtype=torch.float64)
    curve = gaussian_ib_curve(*covariances, betas)
    assert (curve.i_xt.diff() >= 0).all()
    assert (curve.i_ty.diff() >= 0).all()
    assert (curve.i_ty <= gaussian_mi(*covariances) + ROUNDING).all()
    assert (curve.i_ty <= curve.i_xt + ROUNDING).all()
    on = curve.rank[1:] > 0
    dx, dy = curve.i_xt.diff()[on], curve.i_ty.diff()[on]
    slopes = dy / dx
    assert (slopes.diff() < 1e-9).all()
    # the slope of a chord lies between the slopes 1 / beta at its ends; equal betas up to rounding of differences
    assert (slopes <= 1 / betas[:-1][on] + 1e-9).sum() == len(slopes)
    assert (slopes >= 1 / betas[1:][on] - 1e-9)[1:].all()


def test_the_information_goes_to_that_of_x_and_y():
    covariances = random_covariances(4, 4, seed=2)
    assert gaussian_ib(*covariances, 1e9).i_ty == pytest.approx(gaussian_mi(*covariances), abs=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_the_rank_is_the_number_of_critical_betas_passed(seed):
    covariances = random_covariances(6, 5, seed)
    critical = gaussian_ib(*covariances, 1).critical_betas
    for i, beta in enumerate(critical[:5].tolist()):
        assert gaussian_ib(*covariances, beta * (1 - 1e-9)).rank == i
        just_on = gaussian_ib(*covariances, beta * (1 + 1e-6))
        assert just_on.rank == i + 1
        rho2 = 1 / beta  # near the step, s^2 = (beta - beta_c) rho^2 / (1 - rho^2)
        s = just_on.singular_values[i].item()
        assert s == pytest.approx(math.sqrt(1e-6 / (1 - rho2)), rel=1e-6)


@pytest.mark.parametrize("beta", [0, 0.5, 1, 1.2])
def test_nothing_is_encoded_below_the_first_critical_beta(beta):
    found = gaussian_ib(*with_correlations([0.9, 0.2], seed=0), beta)
    assert found.critical_betas[0] > 1.2
    assert (found.rank, found.i_xt, found.i_ty) == (0, 0, 0)
    assert (found.encoder == 0).all()
    assert (found.singular_values == 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_invertible_maps_of_x_and_y_change_coordinates_only(seed):
    g = torch.Generator().manual_seed(seed)
    cov_x, cov_y, cov_xy = random_covariances(4, 3, seed)
    p = torch.randn(4, 4, generator=g, dtype=torch.float64) + 2 * torch.eye(4)
    q = torch.randn(3, 3, generator=g, dtype=torch.float64) * 1e3
    one = gaussian_ib(cov_x, cov_y, cov_xy, 6.0)
    two = gaussian_ib(p @ cov_x @ p.T, q @ cov_y @ q.T, p @ cov_xy @ q.T, 6.0)
    torch.testing.assert_close(two.singular_values, one.singular_values, rtol=1e-8, atol=0)
    assert two.i_xt == pytest.approx(one.i_xt, abs=1e-8)
    assert two.i_ty == pytest.approx(one.i_ty, abs=1e-8)
    # the same T, up to the sign of a row
    torch.testing.assert_close((two.encoder @ p).abs(), one.encoder.abs(), rtol=1e-7, atol=1e-8)


def test_units_may_be_as_different_as_they_like():
    units = torch.tensor([1e-9, 1.0, 1e9], dtype=torch.float64)
    cov_x, cov_y, cov_xy = with_correlations([0.9, 0.7, 0.5], seed=3)
    one = gaussian_ib(cov_x, cov_y, cov_xy, 10.0)
    two = gaussian_ib(cov_x * units * units[:, None], cov_y, units[:, None] * cov_xy, 10.0)
    torch.testing.assert_close(two.singular_values, one.singular_values, rtol=1e-9, atol=0)


def test_a_curve_is_its_points():
    covariances = random_covariances(4, 4, seed=5)
    betas = torch.tensor([0.0, 1.0, 3.0, 40.0])
    curve = gaussian_ib_curve(*covariances, betas)
    for i, beta in enumerate(betas.tolist()):
        point = gaussian_ib(*covariances, beta)
        assert (curve.rank[i], curve.i_xt[i], curve.i_ty[i]) == (point.rank, point.i_xt, point.i_ty)
        assert torch.equal(curve.singular_values[i], point.singular_values)
        assert torch.equal(curve.critical_betas, point.critical_betas)


def test_five_hundred_variables():
    rho = torch.linspace(0.99, 0, 500, dtype=torch.float64)
    eye, _, cross = with_correlations(rho.tolist())
    g = torch.Generator().manual_seed(0)
    turns = [torch.linalg.qr(torch.randn(500, 500, generator=g, dtype=torch.float64)).Q for _ in range(2)]
    found = gaussian_ib(eye, eye, turns[0] @ cross @ turns[1].T, 4.0)
    assert found.rank == (rho > 0.5).sum()  # 1 / rho^2 < 4
    rho2 = rho[: found.rank].square()
    expected = 0.5 * torch.log(3 * rho2 / (1 - rho2)).sum().item()
    assert found.i_xt == pytest.approx(expected, rel=1e-10)
