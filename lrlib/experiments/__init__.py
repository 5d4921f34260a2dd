"""Experiments: one module each, with a frozen config a preset and the independent cells that make its tidy table."""

from dataclasses import asdict
from types import ModuleType

from lrlib import _checks, provenance, store
from lrlib.experiments import (
    batch_size,
    depth,
    drivers,
    estimators,
    fashion_mnist,
    mnist,
    rank_information,
    teacher,
    vib,
)

_MODULES: dict[str, ModuleType] = {
    "teacher": teacher,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "drivers": drivers,
    "depth": depth,
    "batch_size": batch_size,
    "estimators": estimators,
    "vib": vib,
    "rank_information": rank_information,
}
NAMES = tuple(_MODULES)
PRESETS = ("quick", "full")


def run(name: str, preset: str = "quick") -> store.StoredRun:
    """Run an experiment, store its table and manifest (:mod:`lrlib.store`), and return them.

    ``"quick"`` takes about a minute on one CPU core and, but for ``fashion_mnist``, needs no download;
    ``"full"`` is the study that the book shows. A run that was killed goes on where it was. An earlier stored
    run is replaced when the new one is complete. One process at a time runs a preset of an experiment.

    Raises ``ValueError`` for an unknown name or preset, ``RuntimeError`` where lrlib was edited after it was
    imported, :class:`lrlib.store.StoreError` where another process runs this, and what the experiment raises.
    """
    module = _module(name, preset)
    config = module.CONFIGS[preset]
    described = asdict(config)
    with store.writing(name, preset):
        origin = provenance.origin(module.__name__)  # now: lrlib may be edited while the run goes on
        table, seconds = store.run_cells(name, preset, described, module.cells(config), origin=origin)
        finished = store.save(name, preset, table, config=described, origin=origin, wall_time_s=seconds)
        store.discard_cells(name, preset)
    return finished


def load(name: str, preset: str = "full") -> store.StoredRun:
    """Return the stored run of an experiment; raises :class:`lrlib.store.StoreError` where there is none."""
    _module(name, preset)
    return store.load(name, preset)


def stale(run: store.StoredRun) -> list[str]:
    """Return in words why a stored run is not what :func:`run` would make now; empty if it is.

    Reasons are a configuration that has changed, code that has changed since or was not recorded, and an
    experiment or preset that there is no more.
    """
    if run.name not in NAMES:
        return ["experiment: there is no such one"]
    module = _MODULES[run.name]
    if run.preset not in module.CONFIGS:
        return ["preset: there is no such one"]
    config = asdict(module.CONFIGS[run.preset])
    return provenance.stale(run.manifest, config=config, module=module.__name__)


def _module(name: str, preset: str) -> ModuleType:
    _checks.one_of("name", name, NAMES)
    _checks.one_of("preset", preset, PRESETS)
    return _MODULES[name]
