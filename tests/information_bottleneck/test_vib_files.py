"""A VIB in a file: what was written comes back, and nothing else is taken for it."""

import json
import pickle

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from vib_cases import X, make

from lrlib.bottleneck import VIB, load_vib, save_vib, vib_files
from lrlib.nets import MLP
from lrlib.runtime import generator


@pytest.mark.parametrize("marginal", [None, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_was_written_comes_back(marginal, dtype, tmp_path):
    vib = make(marginal, code=3).to(dtype)
    save_vib(vib, tmp_path / "a.safetensors")
    found = load_vib(str(tmp_path / "a.safetensors"))
    assert (found.code, found.marginal) == (3, marginal)
    x = X.to(dtype)
    assert torch.equal(found(x), vib(x))
    assert torch.equal(found.rate(x, generator(0)), vib.rate(x, generator(0)))
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_layers_without_biases_come_back_without(tmp_path):
    g = generator(0)
    vib = VIB(MLP([4, 4], bias=False, activation="gelu", generator=g), MLP([2, 3], generator=g), code=2)
    save_vib(vib, tmp_path / "a")
    assert set(load_vib(tmp_path / "a").state_dict()) == set(vib.state_dict())


def test_other_networks_are_refused_and_nothing_is_written(tmp_path):
    vib = VIB(nn.Linear(4, 4), MLP([2, 3], generator=generator(0)), code=2)
    with pytest.raises(TypeError, match="vib: its encoder is a Linear; must be an MLP"):
        save_vib(vib, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_failing_disk_leaves_the_file_of_before(tmp_path, monkeypatch):
    save_vib(make(), tmp_path / "a")
    before = (tmp_path / "a").read_bytes()

    def fail(*_args, **_kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(vib_files, "save_file", fail)
    with pytest.raises(OSError, match="no space"):
        save_vib(make(seed=1), tmp_path / "a")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [before]


class Planted:
    def __reduce__(self):
        return (pytest.fail, ("the file was unpickled",))


def test_what_is_no_vib_s_file_is_refused(tmp_path):
    file = tmp_path / "a"
    with pytest.raises(FileNotFoundError, match=r"path: .* is no file"):
        load_vib(file)
    file.write_bytes(pickle.dumps(Planted()))
    with pytest.raises(ValueError, match="cannot be read"):
        load_vib(file)
    save_file({"a": torch.zeros(2)}, file)
    with pytest.raises(ValueError, match="holds None; must be 'lrlib VIB 1'"):
        load_vib(file)


def test_metadata_that_do_not_fit_the_tensors_are_refused(tmp_path):
    file = tmp_path / "a"
    save_vib(make(), file)
    tensors = load_file(file)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    shape = json.loads(metadata["shape"])
    for changed in (shape | {"code": 3}, {**shape, "encoder": 1}, {"code": 2}, []):
        save_file(tensors, file, metadata=metadata | {"shape": json.dumps(changed)})
        with pytest.raises(ValueError, match="does not hold what its metadata say"):
            load_vib(file)
    save_file({}, file, metadata=metadata)
    with pytest.raises(ValueError, match="does not hold what its metadata say"):
        load_vib(file)
