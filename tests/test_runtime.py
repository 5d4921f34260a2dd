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


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_the_fastest_device_is_taken(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert runtime.device().type == expected


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
