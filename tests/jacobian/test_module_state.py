"""A module that is asked, and torch itself, are left as they were."""

import pytest
import torch
from module_networks import NETWORKS, build
from torch import nn

from lrlib import jacobian_counts, jacobian_spectra, local_rank
from lrlib.runtime import generator


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
