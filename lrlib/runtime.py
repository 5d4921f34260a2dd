"""Where and how things run: the device, seeded generators, progress bars, and what output a figure makes.

Nothing here is global state: functions read the machine and the environment when they are called.
"""

import os
from collections.abc import Iterable
from typing import Any

import torch
from tqdm.auto import tqdm

from lrlib import _checks

OUTPUTS = ("live", "page", "still")
DEVICES = ("cuda", "mps", "cpu")  # the fastest first


def output() -> str:
    """Return what notebooks are run for, from the environment variable ``LRLIB_OUTPUT``.

    ``"live"`` (the default): a reader sits in front of it, so progress bars move and figures are widgets.
    ``"page"``: the book is being built; figures are self-contained HTML and no bars are drawn.
    ``"still"``: outputs are kept or compared (nbval, committed notebooks); figures are PNG stills.

    Raises ``ValueError`` for any other value.
    """
    value = os.environ.get("LRLIB_OUTPUT", "live")
    _checks.one_of("LRLIB_OUTPUT", value, OUTPUTS)
    return value


def devices() -> tuple[str, ...]:
    """Return the types of device that torch sees here, the fastest first; the last is always ``"cpu"``."""
    seen = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return tuple(name for name in DEVICES if seen[name])


def device() -> torch.device:
    """Return the device to compute on, from the environment variable ``LRLIB_DEVICE``.

    ``"auto"`` (the default): the fastest that torch sees here, CUDA, else Apple's MPS, else the CPU.
    ``"cuda"``, ``"mps"``, ``"cpu"``: that one.

    Raises ``ValueError`` for any other value, and for a device that torch does not see.
    """
    value = os.environ.get("LRLIB_DEVICE", "auto")
    _checks.one_of("LRLIB_DEVICE", value, ("auto", *DEVICES))
    seen = devices()
    if value not in ("auto", *seen):
        raise ValueError(f"LRLIB_DEVICE={value!r}: torch sees no such device here, but {', '.join(seen)}")
    return torch.device(seen[0] if value == "auto" else value)


def device_name() -> str:
    """Return the device in words, for a chapter's first lines, such as ``"cuda (NVIDIA H100)"``."""
    where = device()
    if where.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(where)})"
    if where.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu ({threads} thread{'s' if threads > 1 else ''})"
    return where.type


def generator(seed: int, *, where: torch.device | str = "cpu") -> torch.Generator:
    """Return a new ``torch.Generator`` on ``where``, seeded with ``seed`` (an integer >= 0).

    The book draws on the CPU and moves the numbers, so that one seed means one result on every device.

    >>> g = generator(0)
    >>> torch.equal(torch.rand(3, generator=g), torch.rand(3, generator=generator(0)))
    True
    """
    _checks.integer("seed", seed, minimum=0)
    return torch.Generator(device=where).manual_seed(seed)


def progress(items: Iterable[Any], label: str, *, show: bool = True, delay: float = 0.0) -> tqdm:
    """Wrap ``items`` in a progress bar named ``label``; silent unless :func:`output` is ``"live"``.

    It appears once ``delay`` seconds have passed.
    """
    return tqdm(items, desc=label, disable=not (show and output() == "live"), leave=False, delay=delay)
