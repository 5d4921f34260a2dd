"""Memory: by default a fixed budget, whatever the number of inputs; otherwise what the chunk asks for."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads a process's peak memory from /proc")

PRELUDE = """
import re, sys, torch
from pathlib import Path
from torch import nn
from lrlib import jacobian_counts, jacobian_spectra, local_rank
from lrlib.nets import MLP
from lrlib.runtime import generator

def print_peak():  # VmHWM and not getrusage, whose peak a child process inherits from its parent
    print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""

DEFAULT = """
net = MLP([96, 96, 96, 10], init="he", generator=generator(0))
if sys.argv[1] == "module":
    net = nn.Sequential(net.L1, nn.ReLU(), net.L2, nn.ReLU(), net.L3)
x = torch.randn(640, 96, generator=generator(1))
for inputs, chunk in ((160, None), (640, None), (640, 640)):
    jacobian_counts(net, x[:inputs], 0.1, chunk=chunk)
    jacobian_spectra(net, x[: inputs // 4], chunk=chunk)
    print_peak()
"""

CHUNKS = """
net = MLP([256, 256, 256, 10], generator=generator(0))
x = torch.randn(512, 256, generator=generator(1))
for inputs, chunk in ((16, 16), (512, 16), (512, 512)):
    local_rank(net, x[:inputs], layers=["L3"], chunk=chunk)
    print_peak()
"""


def peaks(script, *arguments):
    """The peaks in MiB that a process of its own prints."""
    command = [sys.executable, "-c", PRELUDE + script, *arguments]
    return map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("kind", ["chain", "module"])
def test_by_default_memory_does_not_grow_with_the_inputs(kind):
    """After some inputs, after four times as many, and after those at once; 96 x 96 Jacobians are 72 KiB each."""
    some, many, at_once = peaks(DEFAULT, kind)
    # The budget is 16, and the allocator keeps some of what it freed. 480 inputs more would take 68 for what they
    # return of one layer alone, and several times that while it is computed.
    assert many - some < 48
    assert at_once - many > 96  # the measurement sees what it is to see


def test_memory_is_set_by_the_chunk_and_not_by_the_number_of_inputs():
    """After 16 inputs, after 512 in chunks of 16, and after 512 at once."""
    one_chunk, many_chunks, all_at_once = peaks(CHUNKS)
    jacobians = 16 * 256 * 256 * 8 / 2**20  # MiB of one layer's Jacobians at 16 inputs
    assert many_chunks - one_chunk < 4 * jacobians
    assert all_at_once - many_chunks > 16 * jacobians  # the measurement sees what it is to see
