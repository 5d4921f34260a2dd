"""Time, memory and correctness of the ways to count a network's singular values, on one core: prints one table.

    python benchmarks/spectra.py [--quick] [--networks NAME ...] [--write PATH]

contenders.py holds what is measured. README.md says what each row and column means.
"""

import argparse
import datetime
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import torch
from contenders import METHODS, NETWORKS, THRESHOLDS, Counter, Method, Network, trained
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from lrlib import data, runtime
from lrlib.nets import MLP

QUICK = ("mnist-200x5", "digits-200x5")
ROUNDS = 3
MARKERS = ("<!-- table -->", "<!-- /table -->")
HEADER = (
    "network", "method", "inputs", "ms/input", "slowest/fastest", "vs float32", "vs float64", "extra MB",
    "mismatches", "of peak",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What one method needed and found; ``seconds`` holds one time a round, for all its inputs."""

    inputs: int
    seconds: list[float]
    mismatches: str
    megabytes: float | None
    flops: int

    @property
    def per_input(self) -> float:
        """Return the seconds an input takes, in the fastest round."""
        return min(self.seconds) / self.inputs


def measured(network: Network, net: MLP, x: Tensor, rounds: int) -> dict[str, Result]:
    """Return the result of every method: times in turn, one method after another in each of the rounds."""
    counters = {key: method.counter(net, network) for key, method in METHODS.items()}
    inputs = {key: x[: method.inputs(network)] for key, method in METHODS.items()}
    reference = counters["float64"](x)
    for key, counter in counters.items():
        counter(inputs[key][:1])
    seconds: dict[str, list[float]] = {key: [] for key in METHODS}
    counts = {}
    for _ in range(rounds):
        for key, counter in counters.items():
            start = time.perf_counter()
            counts[key] = counter(inputs[key])
            seconds[key].append(time.perf_counter() - start)
    memory = extra_memory(network, net, x)
    return {
        key: Result(
            len(inputs[key]),
            seconds[key],
            mismatches(counts[key], reference, net, method),
            memory.get(key),
            operations(counters[key], inputs[key]) if method.ours else 0,
        )
        for key, method in METHODS.items()
    }


def mismatches(counts: Tensor, reference: Tensor, net: MLP, method: Method) -> str:
    """Return how many counts differ from the float64 brute force, of how many."""
    layers = [net.layers.index(layer) for layer in method.layers(net)]
    expected = reference[: len(counts), layers][..., torch.isin(THRESHOLDS, method.eps)]
    return f"{int((counts != expected).sum())}/{expected.numel()}"


def operations(counter: Counter, x: Tensor) -> int:
    """Return the floating-point operations of a call's matrix products; factorisations are not counted."""
    with FlopCounterMode(display=False) as flops:
        counter(x)
    return flops.get_total_flops()


def extra_memory(network: Network, net: MLP, x: Tensor) -> dict[str, float]:
    """Return by how many MB each method's call raises resident memory at its peak; nothing but on Linux."""
    if not Path("/proc/self/clear_refs").exists():
        return {}
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as fresh,
    ):
        saved = Path(folder) / "network.pt"  # a file: tensors sent to a process would lie in shared memory
        torch.save((net, x), saved)
        return {key: fresh.submit(growth, key, network, saved).result() for key in METHODS}


def growth(key: str, network: Network, saved: Path) -> float:
    """Return the growth of one call in MB; runs in a process of its own, after a call on a tiny network."""
    torch.set_num_threads(1)
    method = METHODS[key]
    tiny = MLP([12, 8, 8, 4], activation=network.activation, generator=runtime.generator(0))
    method.counter(tiny, network)(torch.ones(2, 12))
    net, x = torch.load(saved, weights_only=False)
    counter, x = method.counter(net, network), x[: method.inputs(network)]
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak, VmHWM, back to what is resident now
    before = resident("VmRSS")
    counter(x)
    return (resident("VmHWM") - before) / 1e6


def resident(field: str) -> int:
    """Return one line of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def matmul_peak() -> float:
    """Return the floating-point operations a second of a float64 product of 1024 x 1024 matrices, at best."""
    a = torch.randn(1024, 1024, dtype=torch.float64, generator=runtime.generator(0))
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - start)
    return 2 * 1024**3 / min(seconds)


def rows(name: str, results: dict[str, Result], peak: float) -> Iterator[tuple[str, ...]]:
    """Yield the table's rows for one network."""
    for key, method in METHODS.items():
        result = results[key]
        asked = " one" if method.one_layer else ""
        ratios = [results[dtype + asked].per_input / result.per_input for dtype in ("float32", "float64")]
        yield (
            name,
            method.label,
            str(result.inputs),
            significant(1e3 * result.per_input),
            f"{max(result.seconds) / min(result.seconds):.2f}",
            *map(significant, ratios),
            "-" if result.megabytes is None else f"{result.megabytes:.0f}",
            result.mismatches,
            f"{result.flops / min(result.seconds) / peak:.0%}" if method.ours else "-",
        )


def significant(value: float) -> str:
    """Return a number to three digits, never as a power of ten."""
    return f"{float(f'{value:.3g}'):g}"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, aligned so that it reads well as it is; the first line is its header."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    pads = [str.ljust] * 2 + [str.rjust] * (len(widths) - 2)
    aligned = [
        [pad(cell, width) for pad, cell, width in zip(pads, line, widths, strict=True)] for line in lines
    ]
    rule = ["-" * width if i < 2 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (aligned[0], rule, *aligned[1:]))


def title(network: Network, net: MLP) -> str:
    """Return a network in words, such as "784-200x5-10 relu, mnist"."""
    width, depth = network.hidden[0], len(network.hidden)
    return f"{net.widths[0]}-{width}x{depth}-{net.widths[-1]} {network.activation}, {network.dataset}"


def active_units(net: MLP, x: Tensor) -> str:
    """Return the share of units of non-zero slope in every hidden layer, in words."""
    slopes = [link.slope for link in net.jacobian_chain(x)[1:]]
    return ", ".join(f"{(slope != 0).float().mean():.0%}" for slope in slopes)


def cpu_name() -> str:
    """Return the processor's name, as far as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def report(networks: dict[str, Network], rounds: int) -> str:
    """Measure all the networks; return the table, with the circumstances in front of it."""
    peak = matmul_peak()
    table, notes = [HEADER], []
    for name, network in networks.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            net, x = trained(network)
        except data.DataError as error:
            notes.append(
                f"- {name} is left out, {network.dataset} cannot be had: {str(error).splitlines()[0]}"
            )
            continue
        words = title(network, net)
        if network.activation == "relu":
            notes.append(f"- Active units, {words}: {active_units(net, x)}")
        table += rows(words, measured(network, net, x, rounds), peak)
    circumstances = [
        f"- {datetime.date.today()}, {cpu_name()}, one thread, torch {torch.__version__}",
        f"- ms/input: of the fastest of {rounds} rounds; slowest/fastest: how far the rounds lie apart",
        "- vs float32, vs float64: the time of vmap(jacrev) + svdvals in that precision, for the same layers, over this",
        f"- of peak: of {peak / 1e9:.0f} GFLOP/s, a float64 product of 1024 x 1024 matrices",
    ]
    return "\n".join([*circumstances, *notes, "", markdown(table)])


def write(text: str, path: Path) -> None:
    """Write the report to a file; between the markers where the file has them."""
    begin, end = MARKERS
    old = path.read_text("utf-8") if path.exists() else ""
    if begin in old and end in old:
        before, rest = old.split(begin, 1)
        text = f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end, 1)[1]}"
    else:
        text += "\n"
    path.write_text(text, "utf-8")


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="few inputs, one round, two networks: a smoke run"
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, metavar="NAME", help=", ".join(NETWORKS))
    parser.add_argument("--write", type=Path, metavar="PATH", help="also write the table to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["LRLIB_OUTPUT"] = "still"  # no progress bars of the library's
    chosen = options.networks or (QUICK if options.quick else tuple(NETWORKS))
    networks = {name: NETWORKS[name] for name in chosen}
    if options.quick:
        networks = {name: replace(network, slow=2, medium=4, fast=8) for name, network in networks.items()}
    text = report(networks, rounds=1 if options.quick else ROUNDS)
    print(text)
    if options.write:
        write(text, options.write)


if __name__ == "__main__":
    main()
