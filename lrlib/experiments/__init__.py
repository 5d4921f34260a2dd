"""Experiments: one module each, a frozen config with presets, and ``run(config)`` that gives a tidy table."""

from dataclasses import asdict
from types import ModuleType

from lrlib import _checks, store
from lrlib.experiments import batch_size, depth, mnist

_MODULES: dict[str, ModuleType] = {"mnist": mnist, "depth": depth, "batch_size": batch_size}
NAMES = tuple(_MODULES)
PRESETS = ("quick", "full")


def run(name: str, preset: str = "quick") -> store.StoredRun:
    """Run an experiment, store its table and manifest (:mod:`lrlib.store`), and return them.

    ``"quick"`` takes about a minute on one CPU core and needs no download; ``"full"`` is the study that the
    book shows. A run that was killed goes on where it was. An earlier stored run is replaced when the new one
    is complete.

    Raises ``ValueError`` for an unknown name or preset, and what the experiment raises.
    """
    module = _module(name, preset)
    config = module.CONFIGS[preset]
    cells, described = module.cells(config), asdict(config)
    table, seconds = store.run_cells(name, preset, described, cells)
    finished = store.save(name, preset, table, config=described, wall_time_s=seconds)
    store.discard_cells(name, preset, described)
    return finished


def load(name: str, preset: str = "full") -> store.StoredRun:
    """Return the stored run of an experiment; raises :class:`lrlib.store.StoreError` where there is none."""
    _module(name, preset)
    return store.load(name, preset)


def _module(name: str, preset: str) -> ModuleType:
    _checks.one_of("name", name, NAMES)
    _checks.one_of("preset", preset, PRESETS)
    return _MODULES[name]
