"""The table of BetaDial: checked, and put in order by beta, seed and reading."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from numpy import ndarray
from pandas import DataFrame

COLUMNS = ("part", "code", "width", "n", "beta", "seed", "layer", "reading", "eps", "mean", "values")
# What is shown of the network, in this order; readings of it that are not here are left out.
NETWORK = ("test_error", "distortion", "rate", "information_lower", "information_upper", "calibration")
SPECTRA = {  # what the figure calls a spectrum, and the reading that holds it
    "global": "global_spectrum",
    "jacobian": "jacobian_spectrum",
    "signal-to-noise": "snr_spectrum",
    "rate": "rate_spectrum",
}
READINGS = {  # of the layer "code", in the order of the figure, and what each counts; others come after these
    "global": "eigenvalues of cov(mean code)",
    "global relative": "the same, by ε × the largest",
    "active": "numbers of the code that vary",
    "signal-to-noise": "of diag(1/scale) J Σₓ^½",
    "data-scaled": "of J Σₓ^½",
    "absolute": "of J, the mean's Jacobian",
    "relative": "of J, by ε × the largest",
    "effective": "of J, by entropy",
    "stable": "of J, by energy",
}
SHAPE = ("code", "width", "n")
ROUNDING = 1e-9  # a rate of 0 may have been rounded to a little less
MOST = {"betas": 40, "seeds": 20, "readings": 24, "images": 1000, "classes": 20}


@dataclass(frozen=True)
class Spectra:
    """One kind of spectrum: ``values`` (B, S, P) at the ``places`` (P,), from 1; NaN where none is stored."""

    places: tuple[int, ...]
    values: Float64[ndarray, "B S P"]


@dataclass(frozen=True)
class Sweep:
    """Models of one shape at B values of beta, with S seeds each. A number that is not stored is NaN.

    Attributes:
        code, width, n: numbers of the code, of the encoder's first hidden layer, and of the training images.
        betas, seeds: increasing.
        columns: (R,) rank readings, each with its threshold or None.
        ranks: their values.
        network: values of what ``NETWORK`` names.
        spectra: by the names in ``SPECTRA``, those that are stored.
    """

    code: int
    width: int
    n: int
    betas: tuple[float, ...]
    seeds: tuple[int, ...]
    columns: tuple[tuple[str, float | None], ...]
    ranks: Float64[ndarray, "B S R"]
    network: Float64[ndarray, "B S N"]
    spectra: dict[str, Spectra]

    def summary(self, name: str, values: Float64[ndarray, "S R"], labels: list[Any]) -> DataFrame:
        """Return a row for each of R ``labels``: mean, lowest and highest of S seeds, and how many have it."""
        found = DataFrame(values.T, index=pd.Index(labels, name=name, dtype=object))
        parts = {"mean": found.mean(axis=1), "low": found.min(axis=1), "high": found.max(axis=1)}
        return DataFrame(parts | {"seeds": found.count(axis=1)}).reset_index()


@dataclass(frozen=True)
class Plane:
    """A model whose code is two numbers: where images lie, and the linear decoder that cuts the plane.

    Attributes:
        means, scales: (n, 2) of the code of each image.
        classes: (n,) of the images.
        decoder: (C, 3) weights and bias of each class: the class at a code z is the largest w1 z1 + w2 z2 + b.
        error, rate: test error, and rate in nats; None where they are not stored.
    """

    seed: int
    means: Float64[ndarray, "n 2"]
    scales: Float64[ndarray, "n 2"]
    classes: Int64[ndarray, " n"]
    decoder: Float64[ndarray, "C 3"]
    error: float | None
    rate: float | None

    @property
    def wrong(self) -> ndarray:
        """(n,) whether the decoder names another class at the mean of the code."""
        scores = self.means @ self.decoder[:, :2].T + self.decoder[:, 2]
        return scores.argmax(1) != self.classes


def read_sweep(table: DataFrame, part: str) -> Sweep:
    """Return what ``table`` holds of ``part``; raise ``TypeError`` or ``ValueError`` with the rule it breaks."""
    rows = _rows(table, part)
    if rows.empty:
        parts = ", ".join(map(repr, table["part"].unique()))
        raise ValueError(f"sweep={part!r}: the table has no such part; must be one of {parts}")
    shape = {}
    for name in SHAPE:
        found = sorted(rows[name].unique().tolist())
        if len(found) > 1:
            listed = ", ".join(f"{value:g}" for value in found)
            raise ValueError(
                f"table: part {part!r} has {name} {listed}; must have one, so that only beta varies"
            )
        shape[name] = int(found[0])
    betas = tuple(sorted(rows["beta"].unique().tolist()))
    seeds = tuple(sorted(rows["seed"].unique().tolist()))
    is_list = rows["reading"].isin([*SPECTRA.values(), "positions", "decoder"])
    of_code = rows[rows["layer"].eq("code") & ~is_list]
    columns = _columns(of_code)
    for name, found in (("betas", betas), ("seeds", seeds), ("readings", columns)):
        _at_most(part, name, len(found))
    of_network = rows[rows["layer"].eq("network") & rows["reading"].isin(NETWORK)]
    place = _Places(betas, seeds)
    return Sweep(
        **shape,
        betas=betas,
        seeds=seeds,
        columns=columns,
        ranks=place(of_code, columns),
        network=place(of_network, tuple((name, None) for name in NETWORK)),
        spectra={
            name: _spectra(found, place)
            for name, reading in SPECTRA.items()
            if len(found := rows[rows["reading"].eq(reading)])
        },
    )


def read_planes(table: DataFrame, part: str) -> dict[float, Plane]:
    """Return the models of ``part`` by beta, of its first seed; none where the table has no such part."""
    rows = _rows(table, part)
    rows = rows[rows["seed"].eq(rows["seed"].min())]
    planes = {}
    for beta, own in rows.groupby("beta"):
        texts = own.dropna(subset="values").set_index("reading")["values"]
        if "positions" not in texts or "decoder" not in texts:
            continue
        points, decoder = (
            _table(name, texts[name], width) for name, width in (("positions", 5), ("decoder", 3))
        )
        _at_most(part, "images", len(points))
        _at_most(part, "classes", len(decoder))
        classes = points[:, 4].astype(int)
        if not np.isin(points[:, 4], np.arange(len(decoder))).all() or (points[:, 2:4] <= 0).any():
            raise ValueError(
                f"table: positions at beta {beta:g} have a scale that is not positive, or a class that is not "
                f"one of the decoder's {len(decoder)}, from 0"
            )
        numbers = own[own["layer"].eq("network")].set_index("reading")["mean"]
        planes[beta] = Plane(
            seed=int(own["seed"].iloc[0]),
            means=points[:, :2],
            scales=points[:, 2:4],
            classes=classes,
            decoder=decoder,
            error=numbers.get("test_error"),
            rate=numbers.get("rate"),
        )
    return planes


@dataclass(frozen=True)
class _Places:
    """Puts the means of rows into an array over betas, seeds and (reading, eps)."""

    betas: tuple[float, ...]
    seeds: tuple[int, ...]

    def of(self, rows: DataFrame) -> tuple[ndarray, ndarray]:
        return pd.Index(self.betas).get_indexer(rows["beta"]), pd.Index(self.seeds).get_indexer(rows["seed"])

    def __call__(self, rows: DataFrame, columns: tuple[tuple[str, float | None], ...]) -> ndarray:
        order = {column: place for place, column in enumerate(columns)}
        keys = zip(rows["reading"], rows["eps"], strict=True)
        found = [order.get((name, None if np.isnan(eps) else eps), -1) for name, eps in keys]
        array = np.full((len(self.betas), len(self.seeds), len(columns)), np.nan)
        kept = np.array(found, dtype=int) >= 0
        b, s = self.of(rows)
        array[b[kept], s[kept], np.array(found, dtype=int)[kept]] = rows["mean"].to_numpy()[kept]
        return array


def _columns(rows: DataFrame) -> tuple[tuple[str, float | None], ...]:
    """Return the readings with their thresholds: those of ``READINGS`` first, in that order, thresholds rising."""
    pairs = rows[["reading", "eps"]].drop_duplicates().sort_values("eps")
    order = list(dict.fromkeys([*READINGS, *rows["reading"]]))
    found = [(name, None if np.isnan(eps) else eps) for name, eps in pairs.itertuples(index=False)]
    return tuple(sorted(found, key=lambda pair: order.index(pair[0])))


def _spectra(rows: DataFrame, place: _Places) -> Spectra:
    """Return the lists of rows of one reading; all must have the same places."""
    name = rows["reading"].iloc[0]
    lists = [_pairs(name, text) for text in rows["values"]]
    places = tuple(lists[0][:, 0].astype(int).tolist())
    if any(tuple(found[:, 0]) != places for found in lists):
        raise ValueError(f"table: {name} has different places in its rows; must have the same in all")
    values = np.full((len(place.betas), len(place.seeds), len(places)), np.nan)
    values[place.of(rows)] = [found[:, 1] for found in lists]
    return Spectra(places, values)


def _rows(table: DataFrame, part: str) -> DataFrame:
    """Return the rows of ``part`` as numbers, each once."""
    if not isinstance(table, DataFrame):
        raise TypeError(f"table: must be a pandas.DataFrame, not {type(table).__name__}")
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise ValueError(f"table: has no column {', '.join(missing)}; must have {', '.join(COLUMNS)}")
    rows = table.loc[table["part"].eq(part), list(COLUMNS)].copy()
    for name in (*SHAPE, "beta", "seed", "eps", "mean"):
        try:
            rows[name] = pd.to_numeric(rows[name]).astype(float)
        except (TypeError, ValueError) as error:
            raise TypeError(f"table: {name} is of dtype {rows[name].dtype}; must be numbers") from error
    _check(rows, "beta", np.isfinite(rows["beta"]) & (rows["beta"] > 0), "finite and above 0")
    _check(rows, "mean", rows["mean"].isna() | np.isfinite(rows["mean"]), "finite, or nothing")
    for name in (*SHAPE, "seed"):
        least = int(name != "seed")
        _check(rows, name, (rows[name] >= least) & (rows[name] % 1 == 0), f"whole and at least {least}")
    twice = rows[rows.duplicated([*SHAPE, "beta", "seed", "layer", "reading", "eps"])]
    if len(twice):
        first = twice.iloc[0]
        raise ValueError(
            f"table: {first['reading']!r} of part {part!r}, beta {first['beta']:g}, seed {first['seed']:g} is there "
            f"more than once; must be there once"
        )
    return rows.astype({"seed": int})


def _check(rows: DataFrame, name: str, allowed: pd.Series, rule: str) -> None:
    if not allowed.all():
        raise ValueError(f"table: {name} is {rows.loc[~allowed, name].iloc[0]:g} in a row; must be {rule}")


def _at_most(part: str, name: str, count: int) -> None:
    if count > MOST[name]:
        raise ValueError(f"table: part {part!r} has {count} {name}; must be at most {MOST[name]}")


def _pairs(name: str, text: Any) -> Float64[ndarray, "P 2"]:
    """Return places and values of "i:v i:v"."""
    found = _numbers(name, text, 2, ":", "'place:value' pairs with blanks between, values at least 0")
    places = found[:, 0]
    if (
        (places % 1 != 0).any()
        or places[0] < 1
        or (np.diff(places) <= 0).any()
        or (found[:, 1] < -ROUNDING).any()
    ):
        raise ValueError(
            f"table: {name} is {text[:40]!r}; must have rising places from 1 on, and values at least 0"
        )
    return np.maximum(found, 0.0)


def _table(name: str, text: Any, width: int) -> Float64[ndarray, "n w"]:
    return _numbers(
        name, text, width, ",", f"groups of {width} numbers with commas, and blanks between the groups"
    )


def _numbers(name: str, text: Any, width: int, comma: str, rule: str) -> Float64[ndarray, "n w"]:
    """Return the numbers of a text, (n, ``width``)."""
    try:
        found = np.array([[float(v) for v in group.split(comma)] for group in text.split()])
        good = found.ndim == 2 and found.shape[1] == width and np.isfinite(found).all()
    except (AttributeError, ValueError):
        good = False
    if not good:
        raise ValueError(f"table: {name} is {str(text)[:40]!r} in a row; must be {rule}")
    return found
