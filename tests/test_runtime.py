import pytest
import torch

from lrlib import runtime


def test_output_follows_the_environment(monkeypatch):
    monkeypatch.delenv("LRLIB_OUTPUT", raising=False)
    assert runtime.output() == "live"
    monkeypatch.setenv("LRLIB_OUTPUT", "page")
    assert runtime.output() == "page"
    monkeypatch.setenv("LRLIB_OUTPUT", "paper")
    with pytest.raises(ValueError, match="LRLIB_OUTPUT='paper': must be one of 'live', 'page', 'still'"):
        runtime.output()


@pytest.fixture
def sees(monkeypatch):
    """Say which devices torch sees, and let nobody outside the test choose one."""
    monkeypatch.delenv("LRLIB_DEVICE", raising=False)

    def say(*, cuda=False, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return say


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_the_fastest_device_is_taken(sees, monkeypatch, cuda, mps, expected):
    sees(cuda=cuda, mps=mps)
    assert runtime.device().type == expected
    monkeypatch.setenv("LRLIB_DEVICE", "auto")
    assert runtime.device().type == expected


def test_the_environment_chooses_among_the_devices_that_torch_sees(sees, monkeypatch):
    sees(cuda=True)
    assert runtime.devices() == ("cuda", "cpu")
    for name in runtime.devices():
        monkeypatch.setenv("LRLIB_DEVICE", name)
        assert runtime.device() == torch.device(name)
    monkeypatch.setenv("LRLIB_DEVICE", "mps")
    with pytest.raises(ValueError, match="LRLIB_DEVICE='mps': torch sees no such device here, but cuda, cpu"):
        runtime.device()
    monkeypatch.setenv("LRLIB_DEVICE", "gpu")
    with pytest.raises(ValueError, match="LRLIB_DEVICE='gpu': must be one of 'auto', 'cuda', 'mps', 'cpu'"):
        runtime.device()


def test_device_name_names_the_device():
    assert runtime.device_name().startswith(runtime.device().type)


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_bad_seeds_are_refused(seed):
    with pytest.raises((TypeError, ValueError), match="seed="):
        runtime.generator(seed)


@pytest.mark.parametrize(("output", "silent"), [("live", False), ("page", True), ("still", True)])
def test_progress_bars_move_only_before_a_reader(monkeypatch, output, silent):
    monkeypatch.setenv("LRLIB_OUTPUT", output)
    bar = runtime.progress([1, 2], "counting")
    assert bar.disable is silent
    assert list(bar) == [1, 2]
    assert runtime.progress([], "counting", show=False).disable
