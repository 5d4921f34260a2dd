"""What the engines share: how they are asked, how they answer, how many inputs they hold at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from lrlib.jacobian.counting import LayerCounts, LayerValues

# What the matrices of one group of inputs may take: on a CPU about the caches, where more is slower; on a GPU
# enough to keep it busy.
CPU_BYTES = 16 * 2**20
GPU_BYTES = 2**30


class Engine(Protocol):
    """A network prepared for one question after another, in float64, on one device.

    Attributes:
        layers: the names of the layers asked for.
        window: how many inputs one question is best asked about.
    """

    layers: tuple[str, ...]
    window: int

    def values(self, inputs: Float[Tensor, "n *d"], resolution: float) -> list[LayerValues]:
        """Return every layer's singular values; those above resolution * sigma_1 are told from zero."""

    def counts(
        self, inputs: Float[Tensor, "n *d"], eps: Float[Tensor, " E"], relative: bool
    ) -> list[LayerCounts]:
        """Return how many singular values of every layer exceed eps, times sigma_1 if relative."""


def group_size(chunk: int | None, floats_per_input: int, device: torch.device) -> int:
    """Return how many inputs are differentiated at once: chunk, or as many as the device's budget holds."""
    budget = CPU_BYTES if device.type == "cpu" else GPU_BYTES
    return chunk or max(1, budget // (8 * max(1, floats_per_input)))


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Switch off TF32, other reduced float32 products, autocast and inference mode; restore them afterwards."""
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    parents = {cuda.matmul: torch.backends, cudnn.conv: cudnn, cudnn.rnn: cudnn}
    before = {part: part.fp32_precision for part in parents}
    # what equals its parent's setting is taken to follow it, which "none" says
    follows = [part for part, parent in parents.items() if before[part] == parent.fp32_precision]
    try:
        for part in parents:
            part.fp32_precision = "ieee"
        with torch.inference_mode(False), torch.autocast(device.type, enabled=False):
            yield
    finally:
        for part, precision in before.items():
            part.fp32_precision = "none" if part in follows else precision


def selected(layers: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """Return the names asked for, all known ones by default; raise for one that is unknown or doubled."""
    if isinstance(layers, str):
        raise TypeError(f"layers={layers!r}: must be a sequence of names, such as [{layers!r}]")
    names = tuple(known if layers is None else layers)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"layers={list(names)}: {unknown} not in the network; known: {', '.join(known)}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"layers={list(names)}: must name at least one layer, and each once")
    return names
