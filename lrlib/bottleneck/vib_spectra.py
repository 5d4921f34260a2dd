"""How many directions of its input a code keeps: singular values of the mean code's Jacobian, and of its covariance."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from lrlib import _checks
from lrlib.bottleneck.vib import VIB, one_model
from lrlib.jacobian import jacobian_spectra

RESOLUTION = 1e-4  # asked for; Gram matrices tell singular values of 2e-6 of the largest from zero, or so


def mean_spectra(
    vib: VIB, x: Float[Tensor, "n *d"], *, input_factor: Float[Tensor, "d r"] | None = None
) -> Float64[Tensor, "n k"]:
    """Return the singular values of dmean/dx (times ``input_factor``) at every x, descending, float64.

    ``input_factor`` Sigma_x^{1/2} (:func:`lrlib.rank.covariance_root`) makes x's unit one standard deviation of the
    data. Those below 1e-4 of the largest are not told from zero. Raises as :func:`~lrlib.jacobian.jacobian_spectra`.
    """
    one_model(vib)
    options = {"input_factor": input_factor, "resolution": RESOLUTION}
    return jacobian_spectra(_Mean(vib), x, layers=["mean"], **options)["mean"]


def snr_spectra(
    vib: VIB, x: Float[Tensor, "n *d"], *, input_factor: Float[Tensor, "d r"] | None = None
) -> Float64[Tensor, "n k"]:
    """Return the singular values of diag(1 / scale(x)) dmean/dx (times ``input_factor``), descending, float64.

    With ``input_factor`` Sigma_x^{1/2} they are ratios of signal to noise: above 1, moving x by one standard deviation
    of the data along that direction moves the mean code by more than the noise. Where the code is linear with
    constant scale and x Gaussian, I(X;Z) = 1/2 sum ln(1 + s_i^2). Raises as :func:`~lrlib.jacobian.jacobian_spectra`.
    """
    one_model(vib)
    options = {"input_factor": input_factor, "resolution": RESOLUTION}
    return jacobian_spectra(_InUnitsOfNoise(vib), x, layers=["code"], **options)["code"]


@torch.no_grad()
def code_covariance_spectrum(vib: VIB, x: Float[Tensor, "n *d"]) -> Float64[Tensor, " K"]:
    """Return the eigenvalues of the covariance (n - 1) of the mean code over the inputs x, descending, float64.

    The global reading: how many directions the mean code fills as x varies over the data, not at one x.
    Raises ``ValueError`` for fewer than two inputs.
    """
    one_model(vib)
    _checks.batch("x", x)
    if len(x) < 2:
        raise ValueError(f"x: has {len(x)} rows; a covariance needs at least 2")
    mean = vib.encode(x)[0].cpu().double()  # in this order: MPS has no float64
    spectrum = torch.zeros(vib.code, dtype=torch.float64)
    values = torch.linalg.svdvals(mean - mean.mean(0)).square() / (len(x) - 1)
    spectrum[: len(values)] = values
    return spectrum


class _Mean(nn.Module):
    """The mean code, as a layer named ``mean``."""

    def __init__(self, vib: VIB) -> None:
        super().__init__()
        self.vib, self.mean = vib, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.mean(self.vib.encode(x)[0])


class _InUnitsOfNoise(nn.Module):
    """mean(x) / scale(x), the scale held fixed when differentiated, as a layer named ``code``."""

    def __init__(self, vib: VIB) -> None:
        super().__init__()
        self.vib, self.code = vib, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        mean, scale = self.vib.encode(x)
        return self.code(mean / scale.detach())
