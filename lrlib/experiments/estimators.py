"""Which estimator of mutual information to trust, for what: each one on cases whose answer is known.

Every case of ``lrlib.information.CASES`` is sampled with several seeds, and every estimator that applies to
it is run on the first n pairs of each sample. A row of the table is one estimate beside the truth. The KDE bounds and
the log-determinant know the noise, so they apply to the channels only. The neural bounds, which are trained, are slow:
they have fewer cases, seeds and sizes, which the configuration names.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import pandas as pd
from torch import Tensor

from lrlib import information, runtime
from lrlib.information.cases import CASES, Case
from lrlib.information.estimate import Estimate

COLUMNS = ["seed", "case", "n", "estimator", "value", "stderr", "kind", "cap", "saturated", "truth"]


@dataclass(frozen=True)
class Config:
    """What is run: every combination of ``cases``, ``seeds`` and ``sizes`` (numbers of pairs).

    A seed sets the sample of a case; the smaller sizes are the beginning of the largest. ``bins`` are those of each
    axis, ``neighbours`` the k of KSG. InfoNCE and NWJ run for ``neural_cases``, ``neural_seeds`` and ``neural_sizes``
    only, for at most ``neural_steps`` steps of training.
    """

    cases: tuple[str, ...]
    seeds: tuple[int, ...]
    sizes: tuple[int, ...]
    neural_cases: tuple[str, ...]
    neural_seeds: tuple[int, ...]
    neural_sizes: tuple[int, ...]
    neural_steps: int
    bins: int = 10
    neighbours: int = 3


CONFIGS = {
    "quick": Config(
        cases=tuple(CASES),
        seeds=(0, 1),
        sizes=(100, 316, 1_000),
        neural_cases=("normal-0.75", "student-1", "channel-20-nats"),
        neural_seeds=(0,),
        neural_sizes=(1_000,),
        neural_steps=500,
    ),
    "full": Config(
        cases=tuple(CASES),
        seeds=tuple(range(10)),
        sizes=(100, 316, 1_000, 3_162, 10_000),
        neural_cases=tuple(CASES),
        neural_seeds=(0, 1, 2),
        neural_sizes=(100, 1_000, 10_000),
        neural_steps=2_000,
    ),
}


def cells(config: Config) -> list[tuple[str, Callable[[], pd.DataFrame]]]:
    """Return the experiment's independent cells for :func:`lrlib.store.run_cells`: one case and seed each."""
    return [
        (f"{name}-seed{seed}", partial(_cell, config, seed, name))
        for name, seed in product(config.cases, config.seeds)
    ]


def _cell(config: Config, seed: int, name: str) -> pd.DataFrame:
    case = CASES[name]
    x, y = case.sample(max(config.sizes), runtime.generator(seed))
    rows = []
    for n in runtime.progress(config.sizes, f"{case.title}, seed {seed}"):
        for estimator, found in _estimates(config, case, seed, x[:n], y[:n]):
            rows.append((seed, name, n, estimator, *_row(found), case.mi))
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(found: Estimate) -> tuple:
    return found.value, found.stderr, found.kind, found.cap, int(found.saturated)


def _estimates(config: Config, case: Case, seed: int, x: Tensor, y: Tensor) -> Iterator[tuple[str, Estimate]]:
    """Yield the name and the estimate of every estimator that applies."""
    yield "gaussian fit", information.gaussian_fit_mi(x, y)
    for variant in (1, 2):
        yield f"ksg {variant}", information.ksg_mi(x, y, config.neighbours, variant=variant)
    for spacing in ("width", "mass"):
        yield f"binning {spacing}", information.binned_mi(x, config.bins, y=y, spacing=spacing)
    if case.noise_var is not None:
        lower, upper = information.kde_mi(x, case.noise_var)
        yield "kde lower", lower
        yield "kde upper", upper
        yield "logdet", information.logdet_mi(x, case.noise_var)
    if case.name in config.neural_cases and seed in config.neural_seeds and len(x) in config.neural_sizes:
        for label, bound in (("infonce", information.infonce_mi), ("nwj", information.nwj_mi)):
            generator = runtime.generator(1_000 + seed)  # not the one that drew the data
            yield label, bound(x, y, steps=config.neural_steps, generator=generator)
