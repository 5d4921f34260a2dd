"""What is read off a trained variational bottleneck: the rows of the experiment ``vib``.

A reading is one row: layer, reading, eps, mean, stderr, values. Nats, and over the test set unless said.

Of the layer "network":

- ``test_error`` (probabilities of 12 draws of the code averaged), ``test_error_one`` (one draw), ``test_error_mean``
  (at the mean code), ``train_error`` (12 draws);
- ``distortion``, ``rate``, ``train_distortion``, ``train_rate``: means over images, with standard errors;
- ``information_lower``, ``information_upper``: bounds of I(X;Z) (:func:`lrlib.bottleneck.information_bounds`), of a
  draw of the test images;
- ``calibration``: expected calibration error of the averaged probabilities, 15 bins; ``brier``: their Brier score;
- ``noise_error``: ``test_error`` with Gaussian noise of standard deviation eps (white - black = 1) on every pixel.

Of the layer "code", of the Jacobian J of the mean code at the probe images, mean and standard error over them. J is with
respect to images in [-1, 1], half of that for [0, 1]; without Sigma_x it has directions in which no image varies, too:

- ``absolute``, ``relative``, ``data-scaled``, ``signal-to-noise``: singular values above eps of J, of J / sigma_1, of
  J Sigma_x^{1/2}, of diag(1 / scale) J Sigma_x^{1/2}; ``effective``, ``stable``: ranks of J without a threshold.

Of the layer "code", of the covariance of the mean code over the test images, one number:

- ``global``, ``global relative``: eigenvalues above eps, above eps times the largest; ``active``: coordinates whose
  variance exceeds eps (Burda, Grosse & Salakhutdinov 2016).

Of the layer "code", a list, as text in ``values``, ``i:v`` at :func:`lrlib.experiments.readings.places`:

- ``jacobian_spectrum``, ``snr_spectrum``: medians over the probes; ``global_spectrum``; ``rate_spectrum``: the rate of
  every coordinate, descending.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lrlib import runtime
from lrlib.bottleneck import (
    VIB,
    code_covariance_spectrum,
    information_bounds,
    mean_spectra,
    snr_spectra,
)
from lrlib.experiments.readings import Row, places
from lrlib.rank import count_above, effective_rank, mean_and_stderr, stable_rank

DRAWS = 12  # of the code, whose probabilities are averaged (Alemi et al. 2017)
BINS = 15  # of confidence (Guo, Pleiss, Sun & Weinberger 2017)
NOISES = (0.1, 0.2, 0.4)
THRESHOLDS = {
    "absolute": (0.01, 0.1, 1.0), "relative": (0.01, 0.1), "data-scaled": (0.1, 1.0), "signal-to-noise": (0.1, 1.0)
}  # fmt: skip
GLOBAL = {"global": (0.01, 0.1), "global relative": (0.01,)}
ACTIVE = 0.01
CHUNK = 2_000  # images whose codes are drawn together


@dataclass(frozen=True, eq=False)
class Probe:
    """What the readings are taken with: images in the units that the network takes, on its device.

    Attributes:
        train, test: images and classes; of ``train`` as many as the readings of it are to take.
        inputs: (p, d), where Jacobians are taken.
        input_factor: (d, d), Sigma_x^{1/2} of the training images.
        bounded: the test images, in float32 on its device, that the bounds of I(X;Z) are taken over, (b, d).
        unit: what the difference of white and black is in the units of the images.
    """

    train: tuple[Float[Tensor, "n d"], Int64[Tensor, " n"]]
    test: tuple[Float[Tensor, "m d"], Int64[Tensor, " m"]]
    inputs: Float[Tensor, "p d"]
    input_factor: Float[Tensor, "d d"]
    bounded: Float[Tensor, "b d"]
    unit: float


def rows(vib: VIB, probe: Probe) -> list[Row]:
    """Return all readings of one model."""
    return [*_of_network(vib, probe), *_of_jacobian(vib, probe), *_of_codes(vib, probe)]


@torch.no_grad()
def _of_network(vib: VIB, probe: Probe) -> list[Row]:
    g = runtime.generator(0)
    x, y = probe.test
    p = _probabilities(vib, x, g, DRAWS)
    values = {
        "test_error": _error(p, y),
        "test_error_one": _error(_probabilities(vib, x, g, 1), y),
        "test_error_mean": _error(vib(x), y),
        "train_error": _error(_probabilities(vib, probe.train[0], g, DRAWS), probe.train[1]),
        "calibration": (calibration_error(p, y), None),
        "brier": _mean((p - torch.nn.functional.one_hot(y, p.shape[1])).square().sum(1)),
    }
    for prefix, (images, classes) in (("", probe.test), ("train_", probe.train)):
        terms = [
            vib.terms(images[i : i + CHUNK], classes[i : i + CHUNK], g, samples=DRAWS)
            for i in range(0, len(images), CHUNK)
        ]
        for name, parts in zip(("distortion", "rate"), zip(*terms, strict=True), strict=True):
            values[prefix + name] = _mean(torch.cat(parts))
    lower, upper, _ = information_bounds(vib, probe.bounded, g)
    values |= {
        "information_lower": (lower.value, lower.stderr),
        "information_upper": (upper.value, upper.stderr),
    }
    found: list[Row] = [("network", name, None, *value, None) for name, value in values.items()]
    for noise in NOISES:
        noisy = x + noise * probe.unit * torch.randn(x.shape, generator=g).to(x)
        found.append(
            ("network", "noise_error", noise, *_error(_probabilities(vib, noisy, g, DRAWS), y), None)
        )
    return found


def calibration_error(p: Float[Tensor, "n C"], y: Int64[Tensor, " n"]) -> float:
    """Return the expected calibration error (Guo, Pleiss, Sun & Weinberger 2017), between 0 and 1.

    Over 15 equal bins of confidence, the mean of ``|accuracy - confidence|``, each weighted by its share of the inputs.
    """
    p, y = p.cpu(), y.cpu()  # MPS has no float64
    confidence, chosen = p.max(1)
    bins = (confidence * BINS).long().clamp_max(BINS - 1)
    gaps = torch.zeros(BINS, dtype=torch.float64)
    gaps.index_add_(0, bins, (chosen == y).double() - confidence.double())
    return gaps.abs().sum().item() / len(y)


def _of_jacobian(vib: VIB, probe: Probe) -> list[Row]:
    s = mean_spectra(vib, probe.inputs)
    spectra = {
        "absolute": s,
        "relative": s,
        "data-scaled": mean_spectra(vib, probe.inputs, input_factor=probe.input_factor),
        "signal-to-noise": snr_spectra(vib, probe.inputs, input_factor=probe.input_factor),
    }
    counts = {("effective", None): effective_rank(s), ("stable", None): stable_rank(s)}
    for reading, levels in THRESHOLDS.items():
        for eps in levels:
            counts[reading, eps] = count_above(spectra[reading], eps, relative=reading == "relative")
    found: list[Row] = [
        ("code", reading, eps, *(part.item() for part in mean_and_stderr(count)), None)
        for (reading, eps), count in counts.items()
    ]
    for name, spectrum in (("jacobian_spectrum", s), ("snr_spectrum", spectra["signal-to-noise"])):
        found.append(("code", name, None, None, None, _text(spectrum.quantile(0.5, dim=0))))
    return found


@torch.no_grad()
def _of_codes(vib: VIB, probe: Probe) -> list[Row]:
    x = probe.test[0]
    spectrum = code_covariance_spectrum(vib, x)
    mean, scale = (part.cpu().double() for part in vib.encode(x))
    found: list[Row] = []
    for reading, levels in GLOBAL.items():
        for eps in levels:
            count = count_above(spectrum, eps, relative=reading == "global relative").item()
            found.append(("code", reading, eps, count, None, None))
    found.append(("code", "active", ACTIVE, (mean.var(0) > ACTIVE).sum().item(), None, None))
    found.append(("code", "global_spectrum", None, None, None, _text(spectrum)))
    if vib.marginal is None:
        rates = (0.5 * (mean.square() + scale.square() - 1) - scale.log()).mean(0)
        found.append(("code", "rate_spectrum", None, None, None, _text(rates.sort(descending=True).values)))
    return found


def _probabilities(vib: VIB, x: Tensor, g: torch.Generator, draws: int) -> Float[Tensor, "n C"]:
    return torch.cat([vib.predict(part, g, samples=draws) for part in x.split(CHUNK)])


def _error(p: Tensor, y: Tensor) -> tuple[float, float]:
    return _mean(p.argmax(1) != y)


def _mean(values: Tensor) -> tuple[float, float]:
    values = values.cpu().double()
    return values.mean().item(), values.std().item() / math.sqrt(len(values))


def _text(s: Float[Tensor, " k"]) -> str:
    return " ".join(f"{i}:{s[i - 1].item():.3g}" for i in places(len(s)))
