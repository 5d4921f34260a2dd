"""A variational bottleneck in a file: safetensors, which holds numbers and text and runs no code when it is read."""

import json
import os
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from lrlib.bottleneck.vib import VIB
from lrlib.nets import MLP

FORMAT = "lrlib VIB 1"


def save_vib(vib: VIB, path: str | Path) -> None:
    """Write a VIB whose encoder and decoder are MLPs to a safetensors file, its shape in the metadata; atomic.

    Raises ``TypeError`` for another encoder or decoder: what is not written down cannot be built again.
    """
    shape = {"code": vib.code, "marginal": vib.marginal}
    for part in ("encoder", "decoder"):
        net = getattr(vib, part)
        if not isinstance(net, MLP):
            raise TypeError(
                f"vib: its {part} is a {type(net).__name__}; must be an MLP to be written to a file"
            )
        bias = net.get_submodule(net.layers[0]).bias is not None
        shape[part] = {"widths": list(net.widths), "activation": net.activation, "bias": bias}
    tensors = {name: value.detach().cpu().contiguous() for name, value in vib.state_dict().items()}
    path = Path(path)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        save_file(tensors, part, metadata={"format": FORMAT, "shape": json.dumps(shape)})
        os.chmod(part, 0o644)  # mkstemp's 0600 would lock others out
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)


def load_vib(path: str | Path) -> VIB:
    """Return the VIB that :func:`save_vib` wrote, on the CPU, in the dtype that it had.

    Raises ``FileNotFoundError`` where there is no file, and ``ValueError`` for one that cannot be read or that is no
    VIB's.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"path: {path} is no file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
    except SafetensorError as problem:
        raise ValueError(f"path: {path} cannot be read ({problem})") from problem
    if metadata.get("format") != FORMAT:
        raise ValueError(f"path: {path} holds {metadata.get('format')!r}; must be {FORMAT!r}")
    try:
        shape = json.loads(metadata["shape"])
        unused = torch.Generator()  # what is drawn is overwritten
        nets = (MLP(**shape[part], generator=unused) for part in ("encoder", "decoder"))
        vib = VIB(*nets, code=shape["code"], marginal=shape["marginal"], generator=unused)
        vib = vib.to(next(iter(tensors.values())).dtype)
        vib.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, StopIteration) as problem:
        raise ValueError(f"path: {path} does not hold what its metadata say ({problem!r})") from problem
    return vib
