"""Training that survives a kill: all that it needs to go on, in one safetensors file, which runs no code when read."""

import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

KEEP_EVERY = 60.0  # seconds


class Kept:
    """The file that one course of training is kept in: weights, the optimiser's memory, generator, losses, step.

    Args:
        path: of the file.
        course: settings, JSON values. A file with other settings, shapes or state of the generator is refused; another
            loss, schedule, average, data or first weights are not noticed.
        net, optimiser, generator, average: what is kept and restored.
    """

    def __init__(
        self,
        path: Path,
        course: dict[str, Any],
        net: nn.Module,
        optimiser: torch.optim.Optimizer,
        generator: torch.Generator,
        average: AveragedModel | None,
    ) -> None:
        self._path, self._optimiser, self._generator = path, optimiser, generator
        self._modules = {"net": net} | ({"average": average} if average is not None else {})
        shapes = {name: list(value.shape) for name, value in self._weights().items()}
        # so that a training with another seed is told apart
        start = hashlib.sha256(generator.get_state().numpy().tobytes()).hexdigest()
        self._course = json.dumps({"course": course, "shapes": shapes, "start": start}, sort_keys=True)
        self._saved = time.monotonic()

    def restore(self, losses: Float64[np.ndarray, " T"]) -> int:
        """Bring back what is kept, losses included, and return the step to go on with; 0 where nothing is kept.

        Raises ``ValueError`` for a file that cannot be read, or that is another training's.
        """
        if not self._path.is_file():
            return 0
        remedy = "remove it to start again, or name another file"
        try:
            with safe_open(self._path, framework="pt") as file:
                metadata = file.metadata() or {}
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
        except SafetensorError as problem:
            raise ValueError(f"keep_in: {self._path} cannot be read ({problem}); {remedy}") from problem
        if metadata.get("course") != self._course:
            raise ValueError(f"keep_in: {self._path} is of another training; {remedy}")
        with torch.no_grad():
            for name, value in self._weights().items():
                value.copy_(found[name])
        self._optimiser.load_state_dict(self._optimiser.state_dict() | {"state": _optimiser_state(found)})
        self._generator.set_state(found["generator"])
        step = len(found["losses"])
        losses[:step] = found["losses"].numpy()
        return step

    def save_if_due(self, step: int, losses: Float64[np.ndarray, " t"]) -> None:
        """Keep what there is before update number ``step``, if the last time was :data:`KEEP_EVERY` seconds ago."""
        if step and time.monotonic() - self._saved >= KEEP_EVERY:
            self._save(losses)
            self._saved = time.monotonic()

    def discard(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)

    def _save(self, losses: Float64[np.ndarray, " t"]) -> None:
        tensors = {name: value.detach().cpu().contiguous() for name, value in self._weights().items()}
        for i, memory in self._optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{i}.{key}": value.cpu() for key, value in memory.items()}
        tensors |= {"generator": self._generator.get_state(), "losses": torch.from_numpy(losses.copy())}
        handle, part = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.", suffix=".part")
        os.close(handle)
        try:
            save_file(tensors, part, metadata={"course": self._course})
            os.replace(part, self._path)
        finally:
            Path(part).unlink(missing_ok=True)

    def _weights(self) -> dict[str, Tensor]:
        return {
            f"{part}.{name}": value
            for part, module in self._modules.items()
            for name, value in module.state_dict().items()
        }


def _optimiser_state(found: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in found.items():
        part, _, rest = name.partition(".")
        if part == "optimiser":
            i, _, key = rest.partition(".")
            state.setdefault(int(i), {})[key] = value
    return state
