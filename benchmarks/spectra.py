"""Time, memory and correctness of the ways to count a network's singular values, on one core: prints one table.

    python benchmarks/spectra.py [--quick] [--networks NAME ...] [--write PATH]

benchmarks/README.md says what each row and column means.
"""

import argparse
import copy
import datetime
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor
from torch.func import jacrev, vmap
from torch.utils.flop_counter import FlopCounterMode

from lrlib import data, runtime
from lrlib.jacobian import jacobian_counts, jacobian_spectra
from lrlib.nets import MLP
from lrlib.rank import count_above
from lrlib.train import train

THRESHOLDS = torch.tensor([1e-3, 1e-2, 0.1, 1.0], dtype=torch.float64)
ONE = torch.tensor([0.1], dtype=torch.float64)
ROUNDS = 3
STEPS = 400  # of SGD before anything is measured, so that units are as active as in a trained network
MARKERS = ("<!-- table -->", "<!-- /table -->")
HEADER = (
    "network", "method", "inputs", "ms/input", "slowest/fastest", "vs float32", "vs float64", "extra MB",
    "mismatches", "of peak",
)  # fmt: skip

Counter = Callable[[Tensor], Tensor]  # inputs (n, d) -> counts (n, layers, thresholds)


@dataclass(frozen=True)
class Network:
    """A network, what it is trained on, and how many inputs it is measured at.

    Attributes:
        slow, medium, fast: inputs given to the brute forces, to our spectra and to our counts: the first of the same.
        chunk: inputs that vmap(jacrev) differentiates at once. On one core 1 was the fastest of 1, 2, 4, 8 and 16,
            or within 6% of it, since Jacobians soon leave the caches, and it needs the least memory.
    """

    dataset: str
    hidden: tuple[int, ...]
    activation: str
    slow: int
    medium: int
    fast: int
    chunk: int = 1


@dataclass(frozen=True)
class Method:
    """One way to count. ``prepare(net, layers, chunk)`` does once what a user does once for many inputs."""

    label: str
    prepare: Callable[[MLP, Sequence[str], int], Counter]
    eps: Tensor = THRESHOLDS
    one_layer: bool = False
    pace: str = "slow"
    ours: bool = False

    def layers(self, net: MLP) -> tuple[str, ...]:
        """Return the names of the layers that are asked for: all, or the middle one."""
        return (net.layers[len(net.layers) // 2],) if self.one_layer else net.layers

    def inputs(self, network: Network) -> int:
        """Return how many inputs this method is measured at."""
        return getattr(network, self.pace)

    def counter(self, net: MLP, network: Network) -> Counter:
        """Return the prepared method."""
        return self.prepare(net, self.layers(net), network.chunk)


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


def loop(net: MLP, layers: Sequence[str], chunk: int) -> Counter:
    """Return the loop a user writes: input after input, layer after layer, one matrix_rank a threshold."""
    twin = copy.deepcopy(net).requires_grad_(False)

    def ranks(one: Tensor, layer: str) -> Tensor:
        place = twin.layers.index(layer)
        jacobian = torch.autograd.functional.jacobian(
            lambda v: twin.preactivations(v.unsqueeze(0))[place][0], one
        )
        found = [torch.linalg.matrix_rank(jacobian, atol=eps, rtol=0.0) for eps in THRESHOLDS.tolist()]
        return torch.stack(found)

    return lambda x: torch.stack([torch.stack([ranks(one, layer) for layer in layers]) for one in x])


def brute_force(dtype: torch.dtype, *, tall: bool = False) -> Callable[[MLP, Sequence[str], int], Counter]:
    """Return vmap(jacrev) of all layers at once and svdvals; ``tall`` turns Jacobians with more columns than rows."""

    def prepare(net: MLP, layers: Sequence[str], chunk: int) -> Counter:
        # with requires_grad svdvals would find the singular vectors as well, for a backward pass that never comes
        twin = copy.deepcopy(net).to(dtype).requires_grad_(False)
        places = [twin.layers.index(layer) for layer in layers]

        def outputs(one: Tensor) -> tuple[Tensor, ...]:
            found = twin.preactivations(one.unsqueeze(0))
            return tuple(found[place][0] for place in places)

        def values(jacobian: Tensor) -> Tensor:
            wide = jacobian.shape[-2] < jacobian.shape[-1]
            return torch.linalg.svdvals(jacobian.mT.contiguous() if tall and wide else jacobian)

        def counts(x: Tensor) -> Tensor:
            differentiate = vmap(jacrev(outputs))
            return torch.cat([
                torch.stack([count_above(values(j), THRESHOLDS) for j in differentiate(part)], dim=1)
                for part in x.to(dtype).split(chunk)
            ])  # fmt: skip

        return counts

    return prepare


def our_counts(eps: Tensor) -> Callable[[MLP, Sequence[str], int], Counter]:
    """Return jacobian_counts at these thresholds."""
    return lambda net, layers, _chunk: lambda x: jacobian_counts(net, x, eps, layers=layers).values


def our_spectra(resolution: float) -> Callable[[MLP, Sequence[str], int], Counter]:
    """Return jacobian_spectra, its values compared with the thresholds afterwards."""

    def prepare(net: MLP, layers: Sequence[str], _chunk: int) -> Counter:
        def counts(x: Tensor) -> Tensor:
            found = jacobian_spectra(net, x, layers=layers, resolution=resolution)
            return torch.stack([count_above(values, THRESHOLDS) for values in found.values], dim=1)

        return counts

    return prepare


METHODS = {
    "loop": Method("loop of jacobian + matrix_rank, float32", loop),
    "float32": Method("vmap(jacrev) + svdvals, float32", brute_force(torch.float32)),
    "float64": Method("vmap(jacrev) + svdvals, float64", brute_force(torch.float64)),
    "tall32": Method("vmap(jacrev) + svdvals of wide J^T, float32", brute_force(torch.float32, tall=True)),
    "tall64": Method("vmap(jacrev) + svdvals of wide J^T, float64", brute_force(torch.float64, tall=True)),
    "counts": Method("jacobian_counts, 4 thresholds", our_counts(THRESHOLDS), pace="fast", ours=True),
    "count": Method("jacobian_counts, 1 threshold", our_counts(ONE), eps=ONE, pace="fast", ours=True),
    "exact": Method("jacobian_spectra", our_spectra(0.0), pace="medium", ours=True),
    "gram": Method("jacobian_spectra, resolution=1e-4", our_spectra(1e-4), pace="medium", ours=True),
    "float32 one": Method(
        "vmap(jacrev) + svdvals, float32, 1 layer", brute_force(torch.float32), one_layer=True
    ),
    "float64 one": Method(
        "vmap(jacrev) + svdvals, float64, 1 layer", brute_force(torch.float64), one_layer=True
    ),
    "count one": Method(
        "jacobian_counts, 1 threshold, 1 layer",
        our_counts(ONE),
        eps=ONE,
        one_layer=True,
        pace="fast",
        ours=True,
    ),
}

NETWORKS = {
    "mnist-200x5": Network("mnist", (200,) * 5, "relu", slow=8, medium=32, fast=128),
    "mnist-512x4": Network("mnist", (512,) * 4, "relu", slow=4, medium=16, fast=64),
    "mnist-1024x4": Network("mnist", (1024,) * 4, "relu", slow=2, medium=16, fast=48),
    "digits-200x5": Network("digits", (200,) * 5, "relu", slow=8, medium=32, fast=128),
    "mnist-200x5-tanh": Network("mnist", (200,) * 5, "tanh", slow=8, medium=32, fast=128),
    "mnist-512x4-gelu": Network("mnist", (512,) * 4, "gelu", slow=4, medium=16, fast=64),
}
QUICK = ("mnist-200x5", "digits-200x5")


def trained(network: Network) -> tuple[MLP, Tensor]:
    """Return the network after STEPS steps of SGD, and test inputs to measure at, drawn at random."""
    train_set, test_set = data.standardise(
        data.load(network.dataset), data.load(network.dataset, split="test")
    )
    generator = runtime.generator(0)
    widths = [train_set.x.shape[1], *network.hidden, len(train_set.classes)]
    net = MLP(widths, activation=network.activation, generator=generator)
    options = {"steps": STEPS, "lr": 0.1, "batch_size": 128, "progress": False}
    train(net, train_set.x, train_set.y, generator=generator, **options)
    return net, test_set.x[torch.randperm(len(test_set), generator=generator)[: network.fast]].clone()


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
