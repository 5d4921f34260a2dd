"""Memory by default: a fixed budget, whatever the number of inputs."""

import subprocess
import sys

import pytest

PEAKS = """
import re, sys, torch
from pathlib import Path
from torch import nn
from lrlib import jacobian_counts, jacobian_spectra
from lrlib.nets import MLP
from lrlib.runtime import generator
net = MLP([96, 96, 96, 10], init="he", generator=generator(0))
if sys.argv[1] == "module":
    net = nn.Sequential(net.L1, nn.ReLU(), net.L2, nn.ReLU(), net.L3)
x = torch.randn(640, 96, generator=generator(1))
for inputs, chunk in ((160, None), (640, None), (640, 640)):
    jacobian_counts(net, x[:inputs], 0.1, chunk=chunk)
    jacobian_spectra(net, x[: inputs // 4], chunk=chunk)
    # VmHWM and not getrusage, whose peak a child process inherits from its parent
    print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's peak memory from Linux's /proc")
@pytest.mark.parametrize("kind", ["chain", "module"])
def test_by_default_memory_does_not_grow_with_the_inputs(kind):
    """Peaks in MiB of a process of its own, which holds 96 x 96 Jacobians, 72 KiB each."""
    run = subprocess.run([sys.executable, "-c", PEAKS, kind], capture_output=True, text=True, check=True)
    some, many, at_once = map(int, run.stdout.split())
    # The budget is 16, and the allocator keeps some of what it freed. 480 inputs more would take 68 for what they
    # return of one layer alone, and several times that while it is computed.
    assert many - some < 48
    assert at_once - many > 96  # the measurement sees what it is to see
