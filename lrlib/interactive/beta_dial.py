"""Deep variational bottlenecks with their beta to turn: the code, its spectra, its ranks, and what it costs."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets
from matplotlib.figure import Figure as Canvas
from numpy import ndarray
from pandas import DataFrame

from lrlib import _checks
from lrlib.interactive import beta_still
from lrlib.interactive.base import HERE, Figure, nearest_place, packed
from lrlib.interactive.beta_table import NETWORK, READINGS, Plane, read_planes, read_sweep

FRAME = 4095  # steps across the plane of the code: a tenth of a pixel
AGAINST = ("distortion", "test_error")
FIRST = (("global", 0.01), ("signal-to-noise", 1.0), ("absolute", 0.1), ("relative", 0.1))
# the readings whose thresholds are lines in the plot of a spectrum
READ_OFF = {
    "global": "global",
    "global relative": "global",
    "absolute": "jacobian",
    "relative": "jacobian",
    "signal-to-noise": "signal-to-noise",
}


class BetaDial(Figure):
    """Trained variational bottlenecks, minimising D + beta R, with beta as a dial.

    Shown are, at the chosen beta: where test images lie in a code of two numbers, and how the linear decoder cuts
    that plane into classes, which the page computes from the decoder's weights; the spectrum of the large model's
    code; every reading of its rank, against beta too; and rate with distortion or test error. Of several seeds, means
    are shown with the lowest and the highest seed.

    Live, these go both ways: ``beta``, ``seed`` (None: all), ``spectrum``, ``readings`` (those that are drawn against
    beta, as pairs of name and threshold) and ``against`` (the rate's partner, "distortion" or "test_error"). A beta
    that is set moves to the nearest one there is.

    Args:
        table: one row a reading, as the experiment "vib" stores them. Columns: ``part``, ``code`` (numbers of the
            code), ``width``, ``n``, ``beta``, ``seed``, ``layer``, ``reading``, ``eps`` (or NaN), ``mean`` (or NaN) and
            ``values`` (a text, or NaN). Readings that are missing leave their place empty.
        sweep: the part whose readings are shown; its models differ in beta and seed only.
        plane: the part with "positions" and "decoder" of models whose code is two numbers, of its first seed. Where
            the table has none, the figure says so.
        seed: a seed of ``sweep``, or None for all.
        beta: the first beta; the middle one of those there are if left out.
        spectrum: the first spectrum, of those that are stored: "global", "jacobian", "signal-to-noise" or "rate".
        readings: names, or pairs (name, threshold), of those that are drawn at first.
        label, title: the figure's HTML id and the line above it.

    Raises:
        TypeError, ValueError: for an argument outside these rules; the message names it.
    """

    javascript = HERE / "beta_dial.js"
    more_javascript = tuple(
        HERE / name for name in ("picker.js", "beta_plane.js", "beta_plots.js", "beta_tables.js")
    )
    still_colours = 64
    beta = traitlets.Float().tag(sync=True)
    seed = traitlets.Int(None, allow_none=True).tag(sync=True)
    spectrum = traitlets.Unicode().tag(sync=True)
    readings = traitlets.List().tag(sync=True)
    against = traitlets.Unicode().tag(sync=True)
    facts = traitlets.Dict().tag(sync=True)  # what the picture needs besides its packed numbers
    # float32 bits: (B, S, R + N) of rank readings, then of NETWORK, NaN for none; (B, S, P) of spectrum after spectrum
    numbers = traitlets.Bytes().tag(sync=True)
    lines = traitlets.Bytes().tag(sync=True)
    points = traitlets.Bytes().tag(
        sync=True
    )  # uint16, plane after plane: x and y in its frame, 2 class + wrong

    def __init__(
        self,
        table: DataFrame,
        *,
        sweep: str = "sweep",
        plane: str = "plane",
        seed: int | None = None,
        beta: float | None = None,
        spectrum: str | None = None,
        readings: Sequence[str | tuple[str, float | None]] | None = None,
        label: str = "beta-dial",
        title: str = "Deep variational bottlenecks: turn β",
    ) -> None:
        self.sweep = found = read_sweep(table, sweep)
        self.planes = read_planes(table, plane)
        if readings is None:
            readings = [column for column in FIRST if column in found.columns] or found.columns[:4]
        middle = found.betas[len(found.betas) // 2]
        start = {
            "beta": nearest_place("beta", middle if beta is None else beta, list(found.betas)),
            "seed": seed,
            "spectrum": next(iter(found.spectra), "") if spectrum is None else spectrum,
            "readings": self._pairs(readings),
            "against": AGAINST[0],
        }
        values = np.concatenate([found.ranks, found.network], axis=2)
        spectra = [kept.values.ravel() for kept in found.spectra.values()]
        shown = [_places(self.planes[beta]) for beta in found.betas if beta in self.planes]
        super().__init__(
            label=label,
            title=title,
            facts=self._facts(),
            numbers=packed(_bits(values), "<u4"),
            lines=packed(_bits(np.concatenate([np.zeros(0), *spectra])), "<u4"),
            points=packed(np.concatenate([np.zeros(0), *shown]), "<u2"),
            **start,
        )
        # what the page's Reset goes back to, as it was checked and put in order
        self.facts = self.facts | {"start": {name: getattr(self, name) for name in start}}

    @property
    def rows(self) -> DataFrame:
        """The rank readings at this beta that are drawn: reading, eps, mean, low, high (over seeds) and seeds."""
        columns = [tuple(pair) for pair in self.readings]
        chosen = self._here(self.sweep.ranks)[:, [self.sweep.columns.index(column) for column in columns]]
        found = self.sweep.summary("reading", chosen, [name for name, _ in columns])
        found.insert(1, "eps", np.array([eps for _, eps in columns], dtype=float))
        return found

    @property
    def network(self) -> DataFrame:
        """What is stored of the network at this beta: quantity, mean, low, high (over seeds) and seeds."""
        found = self.sweep.summary("quantity", self._here(self.sweep.network), list(NETWORK))
        return found[found["seeds"] > 0].reset_index(drop=True)

    def _here(self, values: ndarray) -> ndarray:
        """Return the values (S, Q) at the beta of now, of the seeds that are chosen."""
        own = values[self.sweep.betas.index(self.beta)]
        return own if self.seed is None else own[[self.sweep.seeds.index(self.seed)]]

    def _pairs(self, readings: Any) -> list[list[Any]]:
        """Return pairs [name, eps] in the table's order; a name alone means all of its thresholds."""
        if isinstance(readings, str) or not isinstance(readings, Sequence):
            raise TypeError(f"readings={readings!r}: must be a list of names, or of pairs (name, threshold)")
        columns = self.sweep.columns
        wanted = []
        for i, one in enumerate(readings):
            if not isinstance(one, str) and not (isinstance(one, list | tuple) and len(one) == 2):
                raise TypeError(f"readings[{i}]={one!r}: must be a name, or a pair (name, threshold)")
            name, *eps = [one] if isinstance(one, str) else one
            _checks.one_of(f"readings[{i}]", name, dict.fromkeys(known for known, _ in columns))
            of_name = [column for column in columns if column[0] == name]
            if eps:
                _checks.one_of(f"readings[{i}]: eps", eps[0], [known for _, known in of_name])
                of_name = [(name, eps[0])]
            wanted += of_name
        return [list(column) for column in columns if column in wanted]

    @traitlets.validate("beta")
    def _stored_beta(self, proposal: dict) -> float:
        return nearest_place("beta", proposal["value"], list(self.sweep.betas))

    @traitlets.validate("seed")
    def _stored_seed(self, proposal: dict) -> int | None:
        _checks.one_of("seed", proposal["value"], [None, *self.sweep.seeds])
        return proposal["value"]

    @traitlets.validate("spectrum")
    def _stored_spectrum(self, proposal: dict) -> str:
        _checks.one_of("spectrum", proposal["value"], list(self.sweep.spectra) or [""])
        return proposal["value"]

    @traitlets.validate("readings")
    def _stored_readings(self, proposal: dict) -> list[list[Any]]:
        return self._pairs(proposal["value"])

    @traitlets.validate("against")
    def _known_partner(self, proposal: dict) -> str:
        _checks.one_of("against", proposal["value"], AGAINST)
        return proposal["value"]

    def alt_text(self) -> str:
        """Return what is shown, without a number that training decides or a setting that can be changed."""
        found = self.sweep
        betas = f"{len(found.betas)} values of beta from {found.betas[0]:g} to {found.betas[-1]:g}"
        plane = "test images and decision regions in a code of two numbers, " if self.planes else ""
        return (
            f"Beta dial: variational bottlenecks with {found.code} code numbers at {betas}, {len(found.seeds)} "
            f"seed{'s' * (len(found.seeds) > 1)} each: {plane}the spectrum of the code, readings of its rank against "
            f"beta, and rate against distortion. Beta, spectrum and readings can be chosen."
        )

    def draw_still(self, canvas: Canvas) -> None:
        """Draw the plane of the code, rate and distortion, the spectrum, and the readings against beta."""
        settings = {"beta": self.beta, "seed": self.seed, "spectrum": self.spectrum, "against": self.against}
        columns = [self.sweep.columns.index((name, eps)) for name, eps in self.readings]
        beta_still.draw(canvas, self.sweep, self.planes.get(self.beta), columns=columns, **settings)

    def _facts(self) -> dict[str, Any]:
        found = self.sweep
        colours, dashes = beta_still.styles(found)
        planes = [self.planes.get(beta) for beta in found.betas]
        return {
            "shape": {"code": found.code, "width": found.width, "n": found.n},
            "betas": list(found.betas),
            "knee": beta_still.knee(found.betas),
            "seeds": list(found.seeds),
            "columns": [
                {"reading": name, "eps": eps, "of": READ_OFF.get(name)} for name, eps in found.columns
            ],
            "notes": {name: READINGS[name] for name, _ in found.columns if name in READINGS},
            "network": list(NETWORK),
            "spectra": [
                {
                    "name": name,
                    "title": beta_still.TITLES[name],
                    "places": kept.places,
                    "ends": beta_still.ends(found, name),
                }
                for name, kept in found.spectra.items()
            ],
            "planes": [plane and _plane_facts(plane) for plane in planes],
            "frame": FRAME,
            "mostRank": beta_still.most(found.ranks),
            "classes": max((len(plane.decoder) for plane in planes if plane), default=None),
            "colours": colours,
            "classColours": list(beta_still.CLASS_COLOURS),
            "dashes": [list(lengths) for lengths in dashes],
        }


def _bits(values: ndarray) -> ndarray:
    """Return float32 bits; what float32 cannot hold becomes the largest that it can."""
    largest = float(np.finfo("<f4").max)
    return np.clip(values, -largest, largest).astype("<f4").view("<u4")


def _places(plane: Plane) -> ndarray:
    """Return what the page needs of the images: places in the frame, (2 n,), and classes, (n,), as whole numbers."""
    share = (plane.means / beta_still.half_width(plane) + 1) / 2
    return np.concatenate([np.rint(FRAME * share).T.ravel(), 2 * plane.classes + plane.wrong])


def _plane_facts(plane: Plane) -> dict[str, Any]:
    def number(value: float | None) -> float | None:
        return None if value is None or math.isnan(value) else float(value)

    return {
        "seed": plane.seed,
        "count": len(plane.classes),
        "half": beta_still.half_width(plane),
        "decoder": plane.decoder.tolist(),
        "ellipses": [[float(f"{v:.4g}") for v in ellipse] for ellipse in beta_still.ellipses(plane).tolist()],
        "wrong": int(plane.wrong.sum()),
        "error": number(plane.error),
        "rate": number(plane.rate),
    }
