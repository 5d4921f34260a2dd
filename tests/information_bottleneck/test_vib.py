"""The deep variational bottleneck against torch.distributions, quadrature, loops, and Gaussian cases that are exact."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence
from torch.nn import functional as F
from vib_cases import CLASSES, D, N, X, Y, code_law, linear_code, make, marginal_law

from lrlib.bottleneck.vib import VIB, VIBStack, vib_loss
from lrlib.information import gaussian_mi
from lrlib.nets import MLP
from lrlib.runtime import generator
from lrlib.train import train

# Float64 sums of about ten terms of size up to about 100.
ROUNDING = 1e-11
STDERRS = 4  # a mean of draws lies further from the truth once in 16,000 times; the seeds are fixed
MARGINALS = [None, 1, 3]


@pytest.mark.parametrize("code", [1, 3])
def test_scales_are_shifted_softplus_and_means_are_free(code):
    vib = make(code=code)
    mean, scale = vib.encode(X)
    out = vib.encoder(X)
    torch.testing.assert_close(mean, out[:, :code])
    torch.testing.assert_close(scale, torch.log1p(torch.exp(out[:, code:] - 5)))
    assert (scale > 0).all()


def test_draws_have_the_mean_and_the_scale_of_the_code():
    vib, draws = make(), 40_000
    z = vib.sample(X, generator(0), samples=draws)
    mean, scale = vib.encode(X)
    assert z.shape == (draws, N, 2)
    assert ((z.mean(0) - mean).abs() < STDERRS * scale / math.sqrt(draws)).all()
    spread = STDERRS / math.sqrt(2 * draws)  # of a normal sample's standard deviation
    assert ((z.std(0) / scale - 1).abs() < spread).all()


def test_the_rate_to_the_standard_normal_is_the_closed_form():
    vib = make(code=3)
    torch.testing.assert_close(
        vib.rate(X), kl_divergence(code_law(vib), marginal_law(vib)), rtol=ROUNDING, atol=ROUNDING
    )


@pytest.mark.parametrize("marginal", MARGINALS)
def test_rates_in_one_dimension_agree_with_quadrature(marginal):
    vib = make(marginal, code=1)
    x, draws = X[:1], 50_000
    mean, scale = (value.item() for value in vib.encode(x))
    law = marginal_law(vib)

    def density(z):
        own = norm.logpdf(z, mean, scale)
        return math.exp(own) * (own - law.log_prob(torch.tensor([z], dtype=torch.float64)).item())

    exact, _ = quad(density, mean - 10 * scale, mean + 10 * scale)  # beyond lies 1e-23 of the mass
    each = vib.rate(x.expand(draws, D), generator(0)).detach()  # the same input many times, one draw each
    slack = STDERRS * each.std() / math.sqrt(draws) if marginal else 1e-8  # quad's own error
    assert abs(each.mean() - exact) < slack


def test_the_rate_to_one_gaussian_agrees_with_the_closed_form():
    vib, draws = make(1, code=3), 50_000
    one = Independent(Normal(vib.mixture_means[0], vib.mixture_log_scales[0].exp()), 1)
    exact = kl_divergence(code_law(vib), one)
    each = torch.stack([vib.rate(x.expand(draws, D), generator(0)) for x in X]).detach()
    assert ((each.mean(1) - exact).abs() < STDERRS * each.std(1) / math.sqrt(draws)).all()


@pytest.mark.parametrize("marginal", [1, 3])
@pytest.mark.parametrize("samples", [1, 5])
def test_a_sampled_rate_is_the_mean_log_ratio_over_its_draws(marginal, samples):
    vib = make(marginal)
    z = vib.sample(X, generator(7), samples=samples)
    expected = (code_law(vib).log_prob(z) - marginal_law(vib).log_prob(z)).mean(0)
    found = vib.rate(X, generator(7), samples=samples)
    torch.testing.assert_close(found, expected, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("marginal", MARGINALS)
def test_the_log_marginal_is_that_of_torch_distributions(marginal):
    vib = make(marginal)
    z = 3 * torch.randn(4, N, 2, generator=generator(0), dtype=torch.float64)
    torch.testing.assert_close(
        vib.log_marginal(z), marginal_law(vib).log_prob(z), rtol=ROUNDING, atol=ROUNDING
    )


def test_a_mixture_starts_at_normal_draws_of_the_generator():
    vib = VIB(
        MLP([D, 4], generator=generator(0)), nn.Linear(2, 3), code=2, marginal=5, generator=generator(1)
    )
    assert torch.equal(vib.mixture_means, torch.randn(5, 2, generator=generator(1)))
    assert (vib.mixture_log_scales == 0).all()
    assert (vib.mixture_logits == 0).all()


def test_without_noise_the_distortion_is_the_cross_entropy():
    vib = make()
    with torch.no_grad():
        vib.encoder.L2.bias[2:] = -1e4  # softplus is 0 there
    expected = F.cross_entropy(vib(X), Y, reduction="none")
    torch.testing.assert_close(
        vib.distortion(X, Y, generator(0), samples=3), expected, rtol=ROUNDING, atol=ROUNDING
    )
    torch.testing.assert_close(vib(X), vib.decoder(vib.encoder(X)[:, :2]), rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(vib.predict(X, generator(0)), vib(X).softmax(1), rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("samples", [1, 4])
def test_distortion_and_predictions_are_means_over_draws(samples):
    vib = make()
    mean, scale = vib.encode(X)
    losses, probabilities = [], []
    for noise in torch.randn(samples, N, 2, generator=generator(7), dtype=torch.float64):
        z = mean + scale * noise
        losses.append(F.cross_entropy(vib.decoder(z), Y, reduction="none"))
        probabilities.append(vib.decoder(z).softmax(1))
    found = vib.distortion(X, Y, generator(7), samples=samples)
    torch.testing.assert_close(found, torch.stack(losses).mean(0), rtol=ROUNDING, atol=ROUNDING)
    found = vib.predict(X, generator(7), samples=samples)
    torch.testing.assert_close(found, torch.stack(probabilities).mean(0), rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("marginal", MARGINALS)
def test_terms_are_distortion_and_rate_of_the_same_draws(marginal):
    vib = make(marginal)
    distortion, rate = vib.terms(X, Y, generator(3), samples=2)
    assert torch.equal(distortion, vib.distortion(X, Y, generator(3), samples=2))
    assert torch.equal(rate, vib.rate(X, generator(3), samples=2))
    loss = vib_loss(0.3, samples=2)(vib, X, Y, generator(3))
    torch.testing.assert_close(loss, distortion.mean() + 0.3 * rate.mean(), rtol=ROUNDING, atol=0)


@pytest.mark.parametrize("marginal", MARGINALS)
def test_gradients_agree_with_finite_differences(marginal):
    """All parameters, with the noise held: the derivative of draws with respect to mean and scale is in them."""
    vib = make(marginal)
    loss = vib_loss(0.3, samples=2)

    def value():
        return loss(vib, X, Y, generator(3))

    value().backward()
    step = 1e-5  # cubed times third derivatives up to 1e3 against rounding 1e-14 over the step
    with torch.no_grad():
        for name, parameter in vib.named_parameters():
            flat, found = parameter.view(-1), []
            for i in range(len(flat)):
                at = flat[i].item()
                ends = []
                for sign in (1, -1):
                    flat[i] = at + sign * step
                    ends.append(value().item())
                flat[i] = at
                found.append((ends[0] - ends[1]) / (2 * step))
            np.testing.assert_allclose(parameter.grad.flatten(), found, rtol=1e-6, atol=1e-7, err_msg=name)


def test_the_rate_bounds_the_information_of_a_gaussian_code_by_exactly_its_marginal_s_error():
    """E rate - I(X;Z) = KL(p(z) || m(z)), for X ~ N(0, S) and Z = A X + noise: all three are known.

    The rate is quadratic in x, so its mean over 2 d points with mean 0 and covariance S is its mean over X.
    """
    g = generator(5)
    a, root = (torch.randn(shape, generator=g, dtype=torch.float64) for shape in ((2, 3), (3, 3)))
    scale, cov = torch.tensor([0.4, 1.3], dtype=torch.float64), root @ root.T
    points = math.sqrt(3) * torch.cat([root.T, -root.T])
    rate = linear_code(a, scale).rate(points).mean()
    cov_z = a @ cov @ a.T + torch.diag(scale.square())
    exact = gaussian_mi(cov, cov_z, cov @ a.T)
    zero, one = torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    error = kl_divergence(MultivariateNormal(zero, cov_z), MultivariateNormal(zero, one))
    assert rate > exact
    torch.testing.assert_close(rate - error, rate.new_tensor(exact), rtol=1e-10, atol=0)


class Probit(nn.Module):
    """d(y|z) with log-odds of the normal law: ln Phi(-slope z) and ln Phi(slope z)."""

    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def forward(self, z):
        return torch.cat([torch.special.log_ndtr(-self.slope * z), torch.special.log_ndtr(self.slope * z)], 1)


@pytest.mark.parametrize("off", [1.0, 0.5, 3.0])
def test_the_distortion_bounds_the_information_about_a_label_from_below(off):
    """X ~ N(0, 1), Y = [X > 0], Z = X + 0.7 noise: p(Y=1|z) = Phi(slope z), and I(Z;Y) is an integral.

    With that decoder the bound is met; with another slope it is missed by more than the error of the draws.
    """
    sigma, n = 0.7, 100_000
    spread, slope = math.hypot(1, sigma), 1 / (sigma * math.hypot(1, sigma))
    h_given_z, _ = quad(
        lambda z: -2 * norm.pdf(z, scale=spread) * norm.cdf(slope * z) * norm.logcdf(slope * z), -15, 15
    )
    exact = math.log(2) - h_given_z
    vib = linear_code(torch.ones(1, 1, dtype=torch.float64), torch.tensor([sigma], dtype=torch.float64))
    vib.decoder = Probit(off * slope)
    x = torch.randn(n, 1, generator=generator(0), dtype=torch.float64)
    each = vib.distortion(x, (x[:, 0] > 0).long(), generator(1)).detach()
    bound, slack = math.log(2) - each.mean().item(), STDERRS * each.std().item() / math.sqrt(n)
    if off == 1:
        assert abs(bound - exact) < slack
    else:
        assert bound < exact - slack


def test_any_encoder_of_any_inputs_learns():
    """A small convolutional encoder on images of one bright corner, the class: after training, the class is read."""
    g = generator(0)
    y = torch.arange(64) % CLASSES
    x = 0.3 * torch.rand(64, 1, 6, 6, generator=g)
    for corner in range(CLASSES):
        x[y == corner, 0, 4 * (corner // 2), 4 * (corner % 2)] += 1
    with torch.random.fork_rng():
        torch.manual_seed(0)  # torch's own layers draw from nowhere else
        encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4))
        vib = VIB(encoder, nn.Linear(2, CLASSES), code=2, marginal=2, generator=g)
    before = [p.detach().clone() for p in vib.parameters()]
    history = train(
        vib, x, y, steps=300, lr=0.01, batch_size=32, optimiser="adam", loss=vib_loss(1e-3), generator=g,
        progress=False,
    )  # fmt: skip
    assert history.loss[0] > 0.9  # near ln 3, what a guess costs
    assert vib.distortion(x, y, g, samples=8).mean() < 0.1
    assert all((p != old).any() for p, old in zip(vib.parameters(), before, strict=True))


def mlp(*widths):
    return MLP(list(widths), generator=generator(0))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"code": 0}, ValueError, "code=0: must be at least 1"),
        ({"marginal": 0, "generator": generator(0)}, ValueError, "marginal=0: must be at least 1"),
        ({"marginal": 2}, TypeError, "generator=None: must be a torch.Generator where the marginal is a mixture"),
        ({"encoder": abs}, TypeError, "encoder: must be a torch.nn.Module, not builtin_function_or_method"),
        ({"encoder": mlp(D, 3)}, ValueError, "encoder: its width at the end is 3; must be 4 for code=2"),
        ({"decoder": mlp(3, CLASSES)}, ValueError, "decoder: its width at the start is 3; must be 2 for code=2"),
    ],
)  # fmt: skip
def test_bad_parts_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        VIB(**{"encoder": mlp(D, 4), "decoder": mlp(2, CLASSES), "code": 2} | arguments)


def test_bad_calls_are_named():
    vib, g = make(3), generator(0)
    with pytest.raises(
        TypeError, match=r"generator=None: must be a torch.Generator: the rate to a mixture is"
    ):
        vib.rate(X)
    with pytest.raises(
        TypeError, match=r"generator=\[.*\]: must be a torch.Generator, for there is one model"
    ):
        vib.sample(X, [g])
    with pytest.raises(ValueError, match="samples=0: must be at least 1"):
        vib.predict(X, g, samples=0)
    for y in (Y.double(), Y[:-1], Y[:, None]):
        with pytest.raises(
            ValueError, match=r"y: is .* must be int64 of shape \(9,\), a class for each input"
        ):
            vib.distortion(X, y, g)
    with pytest.raises(ValueError, match="encoder: gives 3 numbers an input; must be 4, a mean and a scale"):
        VIB(nn.Linear(D, 3), nn.Linear(2, CLASSES), code=2).encode(X.float())
    for beta, message in (
        (-1.0, "beta=-1.0"),
        ([0.1, math.nan], r"beta\[1\]=nan"),
        ("high", r"beta\[0\]='h'"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            vib_loss(beta)
    with pytest.raises(ValueError, match="samples=0: must be at least 1"):
        vib_loss(0.1, samples=0)
    with pytest.raises(ValueError, match="vibs: there are none"):
        VIBStack([])
