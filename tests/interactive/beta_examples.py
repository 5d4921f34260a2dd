"""Made-up tables for the tests of BetaDial: of the shape of the experiment "vib", and of numbers of its size."""

import math
from functools import cache

import numpy as np
import pandas as pd

from lrlib.experiments.vib import COLUMNS

BETAS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
SHORT = (1e-3, 0.1, 0.5, 1.0)
CLASSES = 10
THRESHOLDS = {
    "effective": (None,),
    "stable": (None,),
    "absolute": (0.01, 0.1, 1.0),
    "relative": (0.01, 0.1),
    "data-scaled": (0.1, 1.0),
    "signal-to-noise": (0.1, 1.0),
    "global": (0.01, 0.1),
    "global relative": (0.01,),
    "active": (0.01,),
}
LISTS = ("jacobian_spectrum", "snr_spectrum", "global_spectrum", "rate_spectrum")
NETWORK = ("test_error", "test_error_mean", "calibration", "distortion", "rate", "information_lower", "information_upper", "noise_error")  # fmt: skip


def places(count):
    return sorted(
        {*range(1, min(count, 16) + 1), *np.geomspace(min(count, 17), count, 16).round().astype(int).tolist()}
    )


def network_numbers(beta, g):
    """Falling and rising as they do; distortion and rate lie beyond what no model can reach."""
    left = 1 / (1 + (beta / 0.55) ** 6)  # 1 far below the collapse, 0 above it
    rate = left * (2.5 + 0.8 * math.log1p(0.1 / beta)) * (1 + 0.02 * g.standard_normal())
    error = 0.9 - 0.885 * left + 0.0008 * g.standard_normal()
    distortion = math.log(CLASSES) * (1 - left) + 0.06 + 0.05 * left * abs(g.standard_normal())
    return dict(
        zip(NETWORK, (error, error, 0.01, distortion, rate, 0.9 * rate, 0.95 * rate, error), strict=True)
    )


def spectrum(name, beta, code, g):
    """Nine values that fall at the collapse, and a floor that falls with beta too."""
    i = np.arange(1, code + 1)
    left = 1 / (1 + (beta / 0.55) ** 6) + 1e-4
    floor = 10 ** (-1.5 - 2 * min(1, beta) - 2.0 * i / code)
    values = np.where(i < CLASSES, 6 * left / i, 0.0) + floor * (1 + 0.1 * g.random())
    return np.sort(values * (0.3 if name == "rate_spectrum" else 1.0))[::-1]


def one_model(part, code, beta, seed):
    """Rows of one model: layer, reading, eps, mean, stderr, values."""
    g = np.random.default_rng([seed, round(1e7 * beta), code])
    rows = [("network", name, None, value, 0.01, None) for name, value in network_numbers(beta, g).items() if name != "noise_error"]  # fmt: skip
    rows += [("network", "noise_error", eps, 0.1 + eps, 0.01, None) for eps in (0.1, 0.2)]
    lists = {name: spectrum(name, beta, code, g) for name in LISTS}
    for name, levels in THRESHOLDS.items():
        values = lists["global_spectrum" if name.startswith("global") else "jacobian_spectrum"]
        for eps in levels:
            cut = (eps or 0.05) * (values[0] if "relative" in name or eps is None else 1)
            rows.append(
                ("code", name, eps, (values > cut).sum() + g.random() * (values > cut).any(), 0.1, None)
            )
    for name, values in lists.items():
        text = " ".join(f"{i}:{values[i - 1]:.3g}" for i in places(code))
        rows.append(("code", name, None, None, None, text))
    if code == 2:
        rows += [("code", name, None, None, None, text) for name, text in plane_texts(beta, g).items()]
    return [(part, code, 64, 6000, beta, seed, *row) for row in rows]


def plane_texts(beta, g, images=300):
    """Classes around a circle whose radius falls with beta, and a decoder that points at them."""
    classes = g.integers(0, CLASSES, images)
    radius = 30 * (1e-6 / beta) ** 0.12 / (1 + (beta / 0.55) ** 6)
    angle = 2 * np.pi * classes / CLASSES
    means = radius * np.stack([np.cos(angle), np.sin(angle)], 1) + radius / 8 * g.standard_normal((images, 2))
    scales = np.minimum(1, 0.2 + beta) * (0.7 + 0.5 * g.random((images, 2)))
    turn = 2 * np.pi * np.arange(CLASSES) / CLASSES
    decoder = np.stack([np.cos(turn), np.sin(turn), 0.05 * g.standard_normal(CLASSES)], 1)
    lines = np.column_stack([means, scales, classes]).tolist()
    return {
        "positions": " ".join(",".join(f"{v:.4g}" for v in line) for line in lines),
        "decoder": " ".join(",".join(f"{v:.5g}" for v in line) for line in decoder),
    }


@cache
def _made_up(betas, seeds, code, plane):
    rows = [row for seed in range(seeds) for beta in betas for row in one_model("sweep", code, beta, seed)]
    rows += [row for beta in plane for row in one_model("plane", 2, beta, 0)]
    rows += one_model("strength", 256, 1e-3, 0)
    return pd.DataFrame(rows, columns=COLUMNS)


def made_up_table(*, betas=BETAS, seeds=3, code=256, plane=BETAS):
    """As large as the full run: 15 betas, 3 seeds, 256 code numbers, and 15 models with a plane."""
    return _made_up(betas, seeds, code, plane).copy()


def small_table(**options):
    """Four betas, two seeds, 16 code numbers."""
    return made_up_table(**{"betas": SHORT, "seeds": 2, "code": 16, "plane": SHORT, **options})


def decoder_and_positions(table, beta):
    """The numbers of the texts, in plain Python."""
    own = table[(table["part"] == "plane") & (table["beta"] == beta) & (table["seed"] == 0)].set_index("reading")["values"]  # fmt: skip
    return [
        np.array([[float(v) for v in group.split(",")] for group in own[name].split(" ")])
        for name in ("decoder", "positions")
    ]
