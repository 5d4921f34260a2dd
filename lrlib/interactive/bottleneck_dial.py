"""The Gaussian bottleneck with its beta to turn: directions that switch on, their rank, and what they tell."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import traitlets
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Ellipse
from torch import Tensor

from lrlib import plots
from lrlib.bottleneck import GaussianIB, gaussian_ib, gaussian_ib_curve
from lrlib.interactive.base import HERE, Figure, nearest_place
from lrlib.rank import count_above

MOST_DIRECTIONS = 6  # lines and sliders that fit on a phone
ADDED = 0.3  # the correlation of a direction that the reader adds
# Hundredths, and two on the way to 1, where Y would be known exactly.
CORRELATIONS = [*(place / 100 for place in range(100)), 0.995, 0.999]
PRESETS = {
    "three separate steps": [0.95, 0.8, 0.5],
    "two at once": [0.8, 0.8, 0.4],
    "one scalar, ρ = 0.8": [0.8],
    "nothing shared": [0.0, 0.0],
}
# Exactly at its critical beta a direction is off, and a singular value equal to the threshold does not exceed it.
# Rounding must not decide otherwise: both must be passed by this share. bottleneck_law.js has the same.
TIE = 1e-9


def _betas() -> list[float]:
    """Return round numbers from 1 to 1000, 2 to 5 % apart."""
    leads = [*np.arange(1, 2, 0.05), *np.arange(2, 5, 0.1), *np.arange(5, 10, 0.2)]
    return [*(round(float(lead) * 10**d, 6) for d in range(3) for lead in leads), 1000.0]


BETAS = _betas()
THRESHOLDS = [float(f"{10 ** (place / 20):.2g}") for place in range(-40, 21)]  # 0.01 to 10, 20 a decade


class BottleneckDial(Figure):
    """The optimal encoder of jointly Gaussian X and Y, with the bottleneck's beta as a dial.

    Minimise I(X;T) - beta I(T;Y), as :func:`lrlib.bottleneck.gaussian_ib` does in closed form. Directions of X
    switch on one after the other as beta passes their critical values, and a threshold counts each too late. The
    page computes the closed form itself.

    Live, ``correlations``, ``beta``, ``eps`` and ``relative`` go both ways: they say what the reader chose, and can
    be set. What is set moves to the nearest place there is: correlations to hundredths, 0.995 or 0.999; beta to
    round numbers 2 to 5 % apart; eps to 20 numbers a decade, of two digits.

    Args:
        correlations: 1 to 6 canonical correlations of X with Y, in any order, each between 0 and 0.999.
        beta: between 1 and 1000.
        eps: the threshold, between 0.01 and 10.
        relative: compare with eps times the largest singular value instead of eps.
        label, title: the figure's HTML id and the line above it.

    Raises:
        TypeError, ValueError: for an argument outside these rules; the message names it.
    """

    javascript = Path(__file__).with_suffix(".js")
    more_javascript = tuple(HERE / name for name in ("picker.js", "bottleneck_law.js", "bottleneck_plots.js"))
    correlations = traitlets.List(traitlets.Float()).tag(sync=True)
    beta = traitlets.Float().tag(sync=True)
    eps = traitlets.Float().tag(sync=True)
    relative = traitlets.Bool().tag(sync=True)
    facts = traitlets.Dict().tag(sync=True)  # what the picture needs besides the reader's choices

    def __init__(
        self,
        correlations: Sequence[float] = (0.95, 0.8, 0.5),
        *,
        beta: float = 5.0,
        eps: float = 0.1,
        relative: bool = False,
        label: str = "bottleneck-dial",
        title: str = "The Gaussian bottleneck: turn β, and directions of X switch on",
    ) -> None:
        if not isinstance(relative, bool):
            raise TypeError(f"relative={relative!r}: must be True or False")
        first = {
            "correlations": _checked_correlations(correlations),
            "beta": nearest_place("beta", beta, BETAS),
            "eps": nearest_place("eps", eps, THRESHOLDS),
            "relative": relative,
        }
        super().__init__(label=label, title=title, facts=_facts(first), **first)

    @property
    def solution(self) -> GaussianIB:
        """The optimal encoder at the settings of now, for X and Y white in their canonical coordinates."""
        return gaussian_ib(*_covariances(self.correlations), self.beta)

    @property
    def singular_values(self) -> Float64[Tensor, " k"]:
        """Of the encoder, descending; exactly 0 for directions that are off."""
        found = self.solution
        return torch.where(found.critical_betas * (1 + TIE) < self.beta, found.singular_values, 0.0)

    @property
    def rank(self) -> int:
        """The exact rank of the encoder: how many critical betas lie below beta."""
        return int((self.singular_values > 0).sum())

    @property
    def count(self) -> int:
        """How many singular values lie above ``eps``, or above ``eps`` times the largest."""
        return int(count_above(self.singular_values, self.eps * (1 + TIE), relative=self.relative))

    @property
    def i_xt(self) -> float:
        """I(X;T), nats."""
        return self.solution.i_xt

    @property
    def i_ty(self) -> float:
        """I(T;Y), nats."""
        return self.solution.i_ty

    @traitlets.validate("correlations")
    def _valid_correlations(self, proposal: dict) -> list[float]:
        return _checked_correlations(proposal["value"])

    @traitlets.validate("beta", "eps")
    def _valid_place(self, proposal: dict) -> float:
        name = proposal["trait"].name
        return nearest_place(name, proposal["value"], BETAS if name == "beta" else THRESHOLDS)

    def alt_text(self) -> str:
        """Return what is shown, without a setting that the reader can change."""
        return (
            "Bottleneck dial: the singular values of the optimal Gaussian encoder against beta, its exact rank and "
            "how many singular values pass a threshold, the information curve, and what the representation leaves "
            "unknown of two directions of X. Beta, threshold and correlations can be chosen."
        )

    def draw_still(self, canvas: Canvas) -> None:
        """Draw singular values and ranks against beta, the information curve, and the ellipse."""
        panels = canvas.subplot_mosaic(
            [["sigmas", "information"], ["ranks", "ellipse"]], width_ratios=[1.35, 1]
        )
        betas = np.unique([*np.geomspace(1, BETAS[-1], 600), self.beta])
        for name in ("sigmas", "ranks"):
            panels[name].set_xscale("log")
            panels[name].axvline(self.beta, color="black", linewidth=1, linestyle=":")
        self._draw_sigmas(panels["sigmas"], betas)
        self._draw_ranks(panels["ranks"], betas)
        self._draw_information(panels["information"], betas)
        self._draw_ellipse(panels["ellipse"])

    def _draw_sigmas(self, ax: Axes, betas: np.ndarray) -> None:
        sigmas = _curves(self.correlations, betas)
        for i, sigma in enumerate(sigmas.T):
            ax.plot(betas, sigma, linewidth=1.8, label=rf"$\sigma_{{{i + 1}}}$", **plots.layer_style(i))
        top = sigmas.max(1) if self.relative else np.ones(len(betas))
        ax.plot(betas, self.eps * top, color="black", linewidth=1, linestyle="--")
        ax.set_yscale("asinh", linear_width=0.3)
        ax.set_ylim(0, 900)
        ax.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
        ax.set_yticks([], minor=True)
        ax.set_ylabel(r"$\sigma_i$ of the encoder")
        ax.set_title(f"β = {self.beta:g}", fontsize=10)
        ax.legend(loc="upper left", framealpha=0.8, edgecolor="none", handlelength=3, ncols=2)

    def _draw_ranks(self, ax: Axes, betas: np.ndarray) -> None:
        sigmas = _curves(self.correlations, betas)
        counts = count_above(torch.from_numpy(sigmas), self.eps * (1 + TIE), relative=self.relative)
        ax.step(betas, (sigmas > 0).sum(1), color="black", linewidth=1.8, label="exact rank")
        condition = f"count σ > {self.eps:g}{' × largest' * self.relative}"
        ax.step(betas, counts, color=plots.PALETTE[3], linewidth=1.8, linestyle="--", label=condition)
        ax.set_ylim(0, len(self.correlations) + 0.15)
        ax.set_yticks(range(len(self.correlations) + 1))
        ax.set_xlabel("β")
        ax.legend(loc="lower right", frameon=False)

    def _draw_information(self, ax: Axes, betas: np.ndarray) -> None:
        curve = gaussian_ib_curve(*_covariances(self.correlations), torch.from_numpy(betas))
        most = sum(-math.log1p(-rho * rho) / 2 for rho in self.correlations)
        ax.plot([0, most, curve.i_xt[-1]], [0, most, most], color="grey", linewidth=1)
        ax.plot(curve.i_xt, curve.i_ty, color="black", linewidth=1.8)
        ax.plot(self.i_xt, self.i_ty, "o", color=plots.PALETTE[0])
        ax.set_xlabel("I(X;T), nats")
        ax.set_ylabel("I(T;Y), nats")

    def _draw_ellipse(self, ax: Axes) -> None:
        left = 1 / np.hypot(1, _curves(self.correlations, np.array([self.beta]))[0])
        if len(left) == 1:
            ax.plot([-1, 1], [0, 0], color="grey", linewidth=1)
            ax.plot([-left[0], left[0]], [0, 0], color=plots.PALETTE[0], linewidth=5)
        else:
            ax.add_patch(Ellipse((0, 0), 2, 2, fill=False, edgecolor="grey"))
            ax.add_patch(Ellipse((0, 0), 2 * left[0], 2 * left[1], alpha=0.4, color=plots.PALETTE[0]))
            ax.set_ylabel("$x_2$")
        ax.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal", xlabel="$x_1$")
        ax.set_title("X given T, one standard deviation", fontsize=10)


def _covariances(correlations: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the covariances of X, of Y, and of X with Y, in their canonical coordinates."""
    white = torch.eye(len(correlations), dtype=torch.float64)
    return white, white, torch.diag(torch.tensor(correlations, dtype=torch.float64))


def _curves(correlations: list[float], betas: np.ndarray) -> Float64[np.ndarray, "B k"]:
    """Return the singular values at ``betas``, in the order of ``correlations``."""
    curve = gaussian_ib_curve(*_covariances(correlations), torch.from_numpy(betas))
    order = np.argsort(np.argsort(-np.array(correlations), kind="stable"))
    on = betas[:, None] > curve.critical_betas.numpy() * (1 + TIE)
    return np.ascontiguousarray(np.where(on, curve.singular_values.numpy(), 0.0)[:, order])


def _facts(first: dict[str, Any]) -> dict[str, Any]:
    return {
        "betas": BETAS,
        "thresholds": THRESHOLDS,
        "correlations": CORRELATIONS,
        "presets": [{"name": name, "correlations": values} for name, values in PRESETS.items()],
        "most": MOST_DIRECTIONS,
        "added": ADDED,
        "first": first,
        "colours": list(plots.PALETTE),
        "dashes": [list(dashes) for dashes in plots.DASHES],
    }


def _checked_correlations(correlations: Sequence[float]) -> list[float]:
    try:
        values = np.asarray(correlations, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"correlations={correlations!r}: must be a sequence of numbers") from None
    if values.ndim != 1 or not 1 <= len(values) <= MOST_DIRECTIONS:
        raise ValueError(f"correlations={correlations!r}: must be 1 to {MOST_DIRECTIONS} numbers in a row")
    for i, rho in enumerate(values.tolist()):
        if not 0 <= rho <= CORRELATIONS[-1]:
            raise ValueError(f"correlations[{i}]={rho:g}: must be between 0 and {CORRELATIONS[-1]:g}")
    return [min(CORRELATIONS, key=lambda place: abs(place - rho)) for rho in values.tolist()]
