"""Modules and layers that have no answer: every function says so by name."""

import copy

import pytest
import torch
from module_networks import build
from torch import nn

from lrlib import jacobian_counts, jacobian_spectra, local_rank


def ask_all(net, x, match, error, **options):
    """Ask every function; each must raise this error, with this message."""
    for ask in (
        lambda: jacobian_spectra(net, x, **options),
        lambda: jacobian_counts(net, x, 0.1, **options),
        lambda: local_rank(net, x, **options),
        lambda: local_rank(net, x, tol=0.5, **options),
    ):
        with pytest.raises(error, match=match):
            ask()


def test_a_module_used_under_two_names_is_refused():
    shared = nn.Linear(4, 4)
    net = nn.Sequential(shared, nn.Tanh(), shared)
    ask_all(net, torch.ones(2, 4), r"layers: '0' is shared, \['2'\] are the same module", ValueError)
    ask_all(net, torch.ones(2, 4), r"layers: '2' is shared, \['0'\]", ValueError, layers=["2"])
    assert jacobian_counts(net, torch.ones(2, 4), 0.1, layers=["1"]).layers == ("1",)


def test_a_module_called_twice_is_refused():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.used(torch.tanh(self.used(x))))

    ask_all(Twice(), torch.ones(2, 4), "layers: 'used' is called twice for one input", ValueError)
    found = jacobian_counts(Twice(), torch.ones(2, 4), 0.1, layers=["head"])
    assert found.layers == ("head",)


def test_a_module_that_returns_no_tensor_is_refused():
    class Pair(nn.Module):
        def forward(self, x):
            return x, 2 * x

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair, self.head = Pair(), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.pair(x)[1])

    ask_all(Whole(), torch.ones(2, 4), "layers: 'pair' returns tuple; it must", TypeError, layers=["pair"])
    assert jacobian_counts(Whole(), torch.ones(2, 4), 0.1).layers == ("head",)


def test_a_module_that_is_never_called_or_unknown_is_refused():
    net, x = build("attention")
    ask_all(
        net,
        x,
        r"layers=\['mixer.attention.out_proj'\]: not called when net runs on x",
        ValueError,
        layers=["mixer.attention.out_proj"],
    )
    ask_all(net, x, r"layers=\['nowhere'\]: \['nowhere'\] not in the network", ValueError, layers=["nowhere"])


def test_a_module_that_cannot_be_copied_is_refused():
    class Uncopyable(nn.Linear):
        def __deepcopy__(self, memo):
            raise RuntimeError("one of a kind")

    net = nn.Sequential(nn.Linear(4, 4), Uncopyable(4, 2))
    ask_all(net, torch.ones(2, 4), r"net: cannot be copied \(one of a kind\)", TypeError)
    with pytest.raises(RuntimeError, match="one of a kind"):
        copy.deepcopy(net)


def test_a_module_that_takes_no_batch_of_one_fails_as_it_does_itself():
    net = nn.Sequential(nn.Linear(4, 4), nn.Unflatten(0, (2, 2)))
    with pytest.raises(RuntimeError):
        jacobian_counts(net, torch.ones(2, 4), 0.1)


def test_a_jacobian_too_large_to_form_has_estimated_counts_and_no_spectrum(monkeypatch):
    """The bytes of 4 x 3 and 2 x 3 numbers are 96 and 48."""
    net, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.ones(2, 3)
    monkeypatch.setattr("lrlib.jacobian.module.LARGEST", 95)
    message = (
        r"layers: the Jacobian of '0' is 4 x 3, 0\.00 GiB; at most .* GiB are formed; "
        "local_rank and jacobian_counts estimate its counts"
    )
    for resolution in (0.0, 1e-4):
        with pytest.raises(ValueError, match=message):
            jacobian_spectra(net, x, resolution=resolution)
    assert jacobian_spectra(net, x, layers=["2"]).layers == ("2",)
    assert jacobian_counts(net, x, 0.1).estimated.tolist() == [True, False]
    monkeypatch.setattr("lrlib.jacobian.module.LARGEST", 96)
    assert jacobian_spectra(net, x).layers == ("0", "2")
    assert not jacobian_counts(net, x, 0.1).estimated.any()
