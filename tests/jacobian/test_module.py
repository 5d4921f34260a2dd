"""Any module: what it may be made of, what it may not be, and that it is left alone."""

import copy

import numpy as np
import pytest
import torch
from jacobian_cases import Tally, seeded
from torch import nn
from torch.nn.utils import parametrizations

from lrlib import jacobian_counts, jacobian_spectra, local_rank, reference
from lrlib.runtime import generator

EPS = torch.tensor([1e-6, 1e-3, 0.03, 0.1, 0.3, 0.6], dtype=torch.float64)
# Automatic differentiation here and there takes the same factors, of norms within some 100 of sigma_1, in another
# order: a hundred roundings of those.
ROUNDING = 1e-12


def convolutions():
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.GroupNorm(2, 4),
        nn.GELU(),
        nn.AvgPool2d(1),
        nn.Dropout2d(0.5),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.lift = nn.Conv2d(2, 3, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1)) for _ in range(2)
        )
        self.norm = nn.LayerNorm([3, 4, 4])
        self.head = nn.Linear(48, 5)

    def forward(self, x):
        h = self.lift(x)
        for block in self.blocks:
            h = h + block(h)
        return self.head(nn.functional.dropout(self.norm(h), 0.3, self.training).flatten(1))


class Patches(nn.Module):
    """Patches of 2 x 2 pixels as tokens, through a mixer and into a head."""

    def __init__(self, mixer):
        super().__init__()
        self.embed = nn.Linear(8, 6)
        self.mixer = mixer
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        tokens = nn.functional.unfold(x, 2, stride=2).transpose(1, 2)
        return self.head(self.mixer(self.embed(tokens)).mean(1))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.attention = nn.MultiheadAttention(6, 2, dropout=0.2, batch_first=True)

    def forward(self, tokens):
        normed = self.norm(tokens)
        return tokens + self.attention(normed, normed, normed)[0]


def encoder(norm_first):
    layer = nn.TransformerEncoderLayer(6, 2, 10, dropout=0.1, batch_first=True, norm_first=norm_first)
    return Patches(layer)


class Flat(nn.Module):
    """A network of vectors, for images."""

    def __init__(self, *modules):
        super().__init__()
        self.inner = nn.Sequential(*modules)

    def forward(self, x):
        return self.inner(x.flatten(1))


def parametrized():
    return Flat(
        parametrizations.weight_norm(nn.Linear(32, 9)),
        nn.Tanh(),
        parametrizations.spectral_norm(nn.Linear(9, 12)),
        nn.SiLU(),
        parametrizations.orthogonal(nn.Linear(12, 7)),
    )


NETWORKS = {
    "convolutions": (convolutions, ["0", "4", "10"], ["1", "5", "3"]),
    "residual": (Residual, ["lift", "blocks.0.2", "blocks.1.2", "head"], ["norm", "blocks.1", "blocks"][:2]),
    "attention": (lambda: Patches(Attention()), ["embed", "head"], ["mixer", "mixer.norm", "head"]),
    "encoder": (
        lambda: encoder(False),
        ["embed", "mixer.linear1", "mixer.linear2", "head"],
        ["mixer", "mixer.norm1", "head"],
    ),
    "encoder, norm first": (
        lambda: encoder(True),
        ["embed", "mixer.linear1", "mixer.linear2", "head"],
        ["mixer", "mixer.norm1", "head"],
    ),
    "parametrized": (parametrized, ["inner.0", "inner.2", "inner.4"], ["inner.1", "inner"]),
    "normed": (
        lambda: Flat(nn.Linear(32, 8), nn.BatchNorm1d(8), nn.Softplus(), nn.LayerNorm(8), nn.Linear(8, 8)),
        ["inner.0", "inner.4"],
        ["inner.1", "inner.3"],
    ),
}


def build(name):
    """The network in training mode, with running statistics other than 0 and 1, and images for it."""
    net, g = seeded(NETWORKS[name][0], seed=3), generator(1)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
        for _ in range(3):
            net(2 * torch.randn(8, 2, 4, 4, generator=g) + 1)
    return net.train(), torch.randn(4, 2, 4, 4, generator=g)


def factored(net, x, layer, factor):
    """Singular values of J A, one SVD at a time."""
    found = reference.jacobians(net, x, layer)
    return torch.stack([torch.linalg.svdvals(j if factor is None else j @ factor.double()) for j in found])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("dtype", "columns"),
    [(torch.float32, None), (torch.float64, None), (torch.float32, 3), (torch.float64, 40)],
)
def test_spectra_and_counts_equal_the_brute_force(name, dtype, columns):
    net, x = build(name)
    net, x = net.to(dtype), x.to(dtype)
    factor = None if columns is None else torch.randn(32, columns, generator=generator(2)).to(dtype)
    tally = Tally()
    # all outputs together have more entries than x and go forward; the last one alone goes in reverse
    for layers in (None, NETWORKS[name][2], NETWORKS[name][1][-1:]):
        spectra = jacobian_spectra(net, x, layers=layers, input_factor=factor)
        assert list(spectra.layers) == (NETWORKS[name][1] if layers is None else layers)
        expected = []
        for layer in spectra.layers:
            s = factored(net, x, layer, factor)
            torch.testing.assert_close(spectra[layer], s, rtol=0, atol=ROUNDING * float(s.amax()))
            expected.append((s.numpy(), ROUNDING * np.full(len(x), float(s.amax()))))
        coarse = jacobian_spectra(net, x, layers=layers, input_factor=factor, resolution=1e-4)
        for layer, (s, _) in zip(coarse.layers, expected, strict=True):
            # an error of (1e-4 sigma_1)^2 of the squares is one of 1e-8 sigma_1 of values near sigma_1
            large = torch.from_numpy(s > 1e-2 * s[:, :1])
            torch.testing.assert_close(coarse[layer][large], torch.from_numpy(s)[large], rtol=1e-4, atol=0)
        for relative in (False, True):
            eps = EPS if relative else EPS * max(float(s.max()) for s, _ in expected)
            counts = jacobian_counts(net, x, eps, layers=layers, input_factor=factor, relative=relative)
            assert counts.layers == spectra.layers
            tally.check(counts, expected, eps.numpy(), relative)
            one = jacobian_counts(net, x, eps[3], layers=layers, input_factor=factor, relative=relative)
            tally.check(one, expected, eps[3:4].numpy(), relative)
    tally.assert_strict(between=0.1)  # of three columns, most thresholds keep all or one


@pytest.mark.parametrize(("layers", "forward"), [(["0"], True), (["10"], False), (["0", "10"], True)])
def test_the_mode_that_needs_fewer_passes_is_taken(layers, forward, monkeypatch):
    net, x = build("convolutions")
    calls = {"vjp": 0, "jvp": 0}
    for mode in calls:
        original = getattr(torch.func, mode)

        def counted(*arguments, original=original, mode=mode):
            calls[mode] += 1
            return original(*arguments)

        monkeypatch.setattr(f"lrlib.jacobian.module.{mode}", counted)
    jacobian_spectra(net, x, layers=layers)
    assert (calls["jvp"] > 0) == forward
    assert (calls["vjp"] > 0) != forward


def test_default_layers_are_those_called_and_only_linear_and_convolutional_ones():
    net, x = build("attention")
    assert isinstance(net.mixer.attention.out_proj, nn.Linear)  # a weight that no call of its own uses
    assert jacobian_counts(net, x, 0.1).layers == ("embed", "head")
    assert local_rank(net, x).layers == ("embed", "head")
    volume = nn.Sequential(nn.Conv3d(1, 2, 2), nn.Flatten(), nn.Unflatten(1, (2, 1)), nn.Conv1d(2, 3, 1))
    assert jacobian_counts(volume, torch.randn(2, 1, 2, 2, 2), 0.1).layers == ("0", "3")
    with pytest.raises(ValueError, match="net: no Linear or Conv module is called"):
        jacobian_counts(nn.Sequential(nn.Tanh(), nn.LayerNorm(4)), torch.randn(2, 4), 0.1)
    assert jacobian_counts(nn.Tanh(), torch.randn(2, 4), 0.1, layers=[""]).values.shape == (2, 1, 1)


def test_running_statistics_and_not_the_batch_s_are_used():
    net, x = build("normed")
    whole, alone = (jacobian_spectra(net, part)["inner.4"][:1] for part in (x, x[:1]))
    torch.testing.assert_close(whole, alone, rtol=0, atol=1e-14)
    net.inner[1].running_var *= 100
    torch.testing.assert_close(
        jacobian_spectra(net, x)["inner.4"], reference.spectra(net, x, "inner.4"), rtol=0, atol=1e-13
    )


def legacy(read):
    """A setting by torch's older names, which refuse to answer once the newer ones say otherwise."""
    try:
        return read()
    except RuntimeError:
        return "set by fp32_precision"


SETTINGS = {
    "fast path": torch.backends.mha.get_fastpath_enabled,
    "grad": torch.is_grad_enabled,
    "inference": torch.is_inference_mode_enabled,
    "dtype": torch.get_default_dtype,
    "random": lambda: torch.get_rng_state().tolist(),
    "autocast": lambda: torch.is_autocast_enabled("cpu"),
    "matmul": lambda: legacy(lambda: torch.backends.cuda.matmul.allow_tf32),
    "cudnn": lambda: legacy(lambda: torch.backends.cudnn.allow_tf32),
    "float32 products": lambda: legacy(torch.get_float32_matmul_precision),
    "matmul precision": lambda: torch.backends.cuda.matmul.fp32_precision,
    "convolution precision": lambda: torch.backends.cudnn.conv.fp32_precision,
    "recurrence precision": lambda: torch.backends.cudnn.rnn.fp32_precision,
    "all precision": lambda: torch.backends.fp32_precision,
    "flash": torch.backends.cuda.flash_sdp_enabled,
    "math": torch.backends.cuda.math_sdp_enabled,
    "efficient": torch.backends.cuda.mem_efficient_sdp_enabled,
    "deterministic": torch.are_deterministic_algorithms_enabled,
    "threads": torch.get_num_threads,
}


def snapshot(net):
    """Everything about a module and about torch that a caller could see change."""
    modules = {
        name: (
            module.training,
            list(module._forward_hooks),
            list(module._forward_pre_hooks),
            list(module._backward_hooks),
            sorted(vars(module)),
        )
        for name, module in net.named_modules()
    }
    tensors = {
        name: (tensor.data_ptr(), tensor.dtype, tensor.requires_grad, tensor.tolist(), tensor._version)
        for name, tensor in [*net.named_parameters(), *net.named_buffers()]
    }
    gradients = {name: None if p.grad is None else p.grad.tolist() for name, p in net.named_parameters()}
    return modules, tensors, gradients, {name: read() for name, read in SETTINGS.items()}


@pytest.fixture
def unusual_settings():
    """Settings other than the default, so that putting back the default would be noticed."""
    before = torch.backends.mha.get_fastpath_enabled(), torch.backends.cuda.matmul.fp32_precision
    torch.backends.mha.set_fastpath_enabled(False)
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    torch.backends.cuda.enable_flash_sdp(False)
    yield
    torch.backends.mha.set_fastpath_enabled(before[0])
    torch.backends.cuda.matmul.fp32_precision = before[1]
    torch.backends.cuda.enable_flash_sdp(True)


@pytest.mark.parametrize("settings", ["default", "unusual"])
@pytest.mark.parametrize("name", NETWORKS)
def test_everything_is_left_as_it_was(name, settings, request, monkeypatch):
    if settings == "unusual":
        request.getfixturevalue("unusual_settings")
    net, x = build(name)
    first = next(net.parameters())
    first.grad = torch.ones_like(first)
    first.requires_grad_(False)
    next(net.children()).eval()
    net.register_forward_hook(lambda *_: None)
    before = snapshot(net)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        jacobian_counts(net, x, 0.1)
        assert torch.is_autocast_enabled("cpu")
    jacobian_spectra(net, x, layers=[""], resolution=1e-3)
    local_rank(net, x, tol=0.1, generator=generator(1))
    monkeypatch.setattr("lrlib.jacobian.module.EXACT_UP_TO", 1)
    monkeypatch.setattr("lrlib.jacobian.module.TOGETHER", 1, raising=False)
    assert jacobian_counts(net, x[:1], 0.1, layers=NETWORKS[name][1][-1:]).estimated.all()
    assert snapshot(net) == before


class FailsAt(nn.Module):
    """Raises at one of its calls, on it or on any of its copies."""

    def __init__(self, call):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.call = call
        self.calls = [0]

    def forward(self, x):
        self.calls[0] += 1
        if self.calls[0] == self.call:
            raise RuntimeError("the module itself fails")
        return self.inner(x)


@pytest.mark.parametrize("call", [1, 2, 3])
def test_everything_is_left_as_it_was_when_the_module_fails(call, unusual_settings):
    net = nn.Sequential(nn.Linear(3, 4), FailsAt(call), nn.Dropout())
    before = snapshot(net)
    for ask in (jacobian_spectra, lambda net, x: jacobian_counts(net, x, 0.1), local_rank):
        with pytest.raises(RuntimeError, match="the module itself fails"):
            ask(net, torch.ones(5, 3))
        assert snapshot(net) == before


def test_a_precision_set_for_all_of_torch_still_governs_what_did_not_set_its_own():
    backends = torch.backends
    parts = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
    before = [(place, place.fp32_precision) for place in (backends, backends.cudnn, *parts)]
    try:
        for place in (backends.cudnn, *parts):
            place.fp32_precision = "none"
        backends.fp32_precision = "tf32"
        jacobian_counts(nn.Linear(3, 2), torch.ones(1, 3), 0.1)
        backends.fp32_precision = "ieee"
        assert [part.fp32_precision for part in parts] == ["ieee"] * 3
    finally:
        for place, precision in before:
            place.fp32_precision = precision


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


def test_an_output_that_does_not_depend_on_the_input_has_rank_zero():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.other = nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.first(x).sum() + self.other(torch.ones(len(x), 3, dtype=x.dtype))

    net = seeded(Constant)
    found = jacobian_counts(net, torch.ones(2, 4), torch.tensor([1e-9, 0.1]), layers=["first", "other"])
    rank = torch.linalg.matrix_rank(net.first.weight.double())
    assert (found["first"][:, 0] == rank).all()
    assert (found["other"] == 0).all()
