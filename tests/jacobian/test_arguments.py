"""What jacobian_counts and local_rank refuse; every message names the argument, what it was and the rule."""

import math

import numpy as np
import pytest
import torch
from jacobian_cases import both, seeded
from torch import nn

from lrlib import jacobian_counts, jacobian_spectra, local_rank
from lrlib.nets import MLP
from lrlib.runtime import generator

NET = MLP([4, 3, 2], generator=generator(0))
X = torch.randn(3, 4, generator=generator(1))


def counts(**change):
    arguments = {"net": NET, "x": X, "eps": 0.1} | change
    return jacobian_counts(arguments.pop("net"), arguments.pop("x"), arguments.pop("eps"), **arguments)


def rank(**change):
    arguments = {"net": NET, "x": X} | change
    return local_rank(arguments.pop("net"), arguments.pop("x"), **arguments)


def rank_with_tol(**change):
    return rank(tol=0.5, **change)


def spectra(**change):
    arguments = {"net": NET, "x": X} | change
    return jacobian_spectra(arguments.pop("net"), arguments.pop("x"), **arguments)


SHARED = [
    ({"net": "net"}, TypeError, "net: must be a torch.nn.Module, not str"),
    ({"net": None}, TypeError, "net: must be a torch.nn.Module, not NoneType"),
    ({"net": lambda x: x}, TypeError, "net: must be a torch.nn.Module, not function"),
    ({"net": MLP}, TypeError, "net: must be a torch.nn.Module, not type"),
    ({"x": X.numpy()}, TypeError, "x: must be a torch.Tensor, not ndarray"),
    ({"x": X.tolist()}, TypeError, "x: must be a torch.Tensor, not list"),
    ({"x": None}, TypeError, "x: must be a torch.Tensor, not NoneType"),
    ({"x": X.half()}, TypeError, "x: dtype is torch.float16; must be torch.float32 or torch.float64"),
    ({"x": X.bfloat16()}, TypeError, "x: dtype is torch.bfloat16; must be"),
    ({"x": X.long()}, TypeError, "x: dtype is torch.int64; must be"),
    ({"x": X > 0}, TypeError, "x: dtype is torch.bool; must be"),
    ({"x": X.to(torch.complex128)}, TypeError, "x: dtype is torch.complex128; must be"),
    ({"x": X[:0]}, ValueError, r"x: shape is \(0, 4\); must be \(n, ...\) with n >= 1, batch first"),
    ({"x": X[0]}, ValueError, r"x: shape is \(4,\); must be \(n, ...\)"),
    ({"x": torch.tensor(1.0)}, ValueError, r"x: shape is \(\); must be \(n, ...\)"),
    ({"x": X[:, :3]}, ValueError, r"x: one input has shape \(3,\); this network takes \(4,\)"),
    ({"x": X.unsqueeze(1)}, ValueError, r"x: one input has shape \(1, 4\); this network takes \(4,\)"),
    ({"x": X * torch.nan}, ValueError, "x: 12 of its 12 entries are NaN or infinite; all must be finite"),
    ({"x": torch.where(X.max() == X, torch.inf, X)}, ValueError, "x: 1 of its 12 entries are NaN"),
    ({"layers": "L1"}, TypeError, "layers='L1': must be a sequence of names"),
    ({"layers": ["L9"]}, ValueError, r"layers=\['L9'\]: \['L9'\] not in the network; known: L1, L2"),
    ({"layers": []}, ValueError, r"layers=\[\]: must name at least one layer"),
    ({"layers": ["L1", "L1"]}, ValueError, r"layers=\['L1', 'L1'\]: must name .*each once"),
    ({"chunk": 0}, ValueError, "chunk=0: must be at least 1"),
    ({"chunk": -5}, ValueError, "chunk=-5: must be at least 1"),
    ({"chunk": 2.0}, TypeError, "chunk=2.0: must be an integer, not float"),
    ({"chunk": True}, TypeError, "chunk=True: must be an integer, not bool"),
    ({"input_factor": torch.eye(3)}, ValueError, r"input_factor: shape is \(3, 3\); must be \(4, r\)"),
    ({"input_factor": torch.ones(4)}, ValueError, r"input_factor: shape is \(4,\); must be \(4, r\)"),
    ({"input_factor": torch.zeros(4, 0)}, ValueError, r"must be \(4, r\) for these x, with r >= 1"),
    ({"input_factor": torch.eye(4) * torch.nan}, ValueError, "input_factor: 16 of its 16 entries"),
    ({"input_factor": np.eye(4)}, TypeError, "input_factor: must be a torch.Tensor, not ndarray"),
    ({"input_factor": torch.eye(4).half()}, TypeError, "input_factor: dtype is torch.float16"),
]


@pytest.mark.parametrize("ask", [spectra, counts, rank, rank_with_tol])
@pytest.mark.parametrize(("change", "error", "message"), SHARED)
def test_bad_arguments_are_named_by_every_function(ask, change, error, message):
    with pytest.raises(error, match=message):
        ask(**change)


@pytest.mark.parametrize("ask", [counts, rank, rank_with_tol])
@pytest.mark.parametrize(
    ("eps", "error", "message"),
    [
        (-1.0, ValueError, "eps=-1.0: must be"),
        (-1e-300, ValueError, "eps=-1e-300: must be"),
        (math.nan, ValueError, "eps=nan: must be"),
        (math.inf, ValueError, "eps=inf: must be"),
        ("0.1", TypeError, "eps='0.1': must be a number, not str"),
        (None, TypeError, "eps=None: must be a number, not NoneType"),
        (True, TypeError, "eps=True: must be a number, not bool"),
        (1j, TypeError, "eps=1j: must be a number, not complex"),
        ({}, TypeError, "eps={}: must be a number, not dict"),
    ],
)
def test_a_bad_threshold_is_named(ask, eps, error, message):
    with pytest.raises(error, match=message):
        ask(eps=eps)


@pytest.mark.parametrize(
    ("eps", "message"),
    [
        (torch.tensor([]), r"eps=tensor\(\[\]\): must be a finite number >= 0, or a vector of such"),
        ([], r"eps=\[\]: must be"),
        (torch.ones(2, 2), r"eps=tensor\(\[\[1., 1.],\n.*: must be a finite number >= 0, or a vector"),
        (torch.tensor([0.1, -0.1]), "eps=tensor.*: must be a finite number >= 0"),
        (torch.tensor([0.1, math.nan]), "eps=tensor.*: must be a finite number >= 0"),
        (np.array([0.1, math.inf]), "eps=.*: must be a finite number >= 0"),
        ([0.1, -2], r"eps=\[0.1, -2\]: must be a finite number >= 0"),
    ],
)
def test_bad_vectors_of_thresholds_are_named(eps, message):
    with pytest.raises(ValueError, match=message):
        counts(eps=eps)


@pytest.mark.parametrize("eps", [["a"], [None], [[0.1], [0.1, 0.2]], object()])
def test_thresholds_that_are_no_numbers_are_named(eps):
    with pytest.raises((TypeError, ValueError), match="eps="):
        counts(eps=eps)


def test_one_threshold_at_a_time_is_a_local_rank():
    with pytest.raises(TypeError, match=r"eps=tensor.*: must be a number, not Tensor"):
        rank(eps=torch.tensor([0.1, 0.2]))


def test_good_thresholds_of_every_kind_are_one_question():
    for eps in (1, 1.0, torch.tensor(1), torch.tensor([1.0]), [1], (1.0,), np.float32(1), np.array([1])):
        found = counts(eps=eps)
        assert found.values.shape == (3, 2, 1)
        assert found.eps.tolist() == [1.0]
        assert torch.equal(found.values, counts(eps=1.0).values)


@pytest.mark.parametrize("ask", [counts, rank, rank_with_tol])
@pytest.mark.parametrize("bad", [0, "seed", np.random.default_rng(0)])
def test_a_bad_generator_is_named(ask, bad):
    with pytest.raises(TypeError, match=r"generator=.*: must be a torch.Generator on the CPU, or None"):
        ask(generator=bad)


@pytest.mark.parametrize(
    ("resolution", "error", "message"),
    [
        (-1e-6, ValueError, "resolution=-1e-06: must be finite and at least 0"),
        (math.nan, ValueError, "resolution=nan: must be"),
        (math.inf, ValueError, "resolution=inf: must be"),
        ("1e-4", TypeError, "resolution='1e-4': must be a number, not str"),
        (False, TypeError, "resolution=False: must be a number, not bool"),
        (None, TypeError, "resolution=None: must be a number, not NoneType"),
    ],
)
def test_a_bad_resolution_is_named(resolution, error, message):
    with pytest.raises(error, match=message):
        spectra(resolution=resolution)


@pytest.mark.parametrize("ask", [spectra, counts, rank, rank_with_tol])
def test_weights_and_buffers_without_real_finite_values_are_named(ask):
    for value in (torch.nan, torch.inf, -torch.inf):
        net = MLP([4, 3, 2], generator=generator(0))
        net.L2.weight.data[1, 2] = value
        for name, module in both(net):
            where = r"L2\.weight" if name == "chain" else r"2\.weight"
            with pytest.raises(ValueError, match=rf"net, parameter {where}: 1 of its 6 entries are NaN"):
                ask(net=module)
    net = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
    net[1].running_var[1] = torch.inf
    with pytest.raises(
        ValueError, match=r"net, buffer 1\.running_var: 1 of its 2 entries are NaN or infinite"
    ):
        ask(net=net)
    with pytest.raises(ValueError, match="net, parameter weight: is on the meta device and has no values"):
        ask(net=nn.Linear(4, 2, device="meta"))
    with pytest.raises(TypeError, match=r"net, parameter weight: dtype is torch.complex64; must be real"):
        ask(net=nn.Linear(4, 2, dtype=torch.complex64))
    with torch.device("meta"):
        hollow = nn.Sequential(nn.Linear(4, 3))
    with pytest.raises(ValueError, match=r"net, parameter 0\.weight: is on the meta device"):
        ask(net=hollow)


@pytest.mark.parametrize("ask", [spectra, counts, rank, rank_with_tol])
def test_inputs_of_the_wrong_width_are_refused_by_plain_modules_too(ask):
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        ask(net=nn.Sequential(nn.Linear(5, 2)))


@pytest.mark.parametrize("ask", [spectra, counts, rank, rank_with_tol])
def test_inputs_on_the_meta_device_are_refused(ask):
    with pytest.raises(ValueError, match=r"x: .*meta"):
        ask(x=torch.ones(3, 4, device="meta"))


def test_half_precision_weights_are_taken_to_float64():
    net = seeded(lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))).bfloat16()
    found = counts(net=net, eps=[0.01, 0.1, 0.3])
    assert torch.equal(found.values, counts(net=net.double(), eps=[0.01, 0.1, 0.3]).values)


def test_results_are_looked_up_by_name_and_unknown_names_refused():
    found = counts(eps=[0.1, 0.5])
    assert torch.equal(found["L2"], found.values[:, 1])
    with pytest.raises(ValueError, match="layer='L3': must be one of 'L1', 'L2'"):
        found["L3"]
    with pytest.raises(ValueError, match="layer='L3': must be one of 'L1', 'L2'"):
        spectra()["L3"]


def test_an_output_that_overflows_is_refused_and_never_counted_as_nan():
    for activation in ("relu", "tanh", "gelu", "identity"):
        net = MLP([4, 3, 2], activation=activation, generator=generator(0)).double()
        for layer in (net.L1, net.L2):
            layer.weight.data.fill_(1e308)
        for _, module in both(net):
            for ask in (spectra, counts, rank, rank_with_tol):
                with pytest.raises(FloatingPointError, match=r"net: .*overflows"):
                    ask(net=module, x=torch.full((3, 4), 1e3, dtype=torch.float64))
