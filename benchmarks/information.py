"""Times of KSG's two neighbour searches, of the pairwise bounds and of the two bottlenecks.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/information.py

CPU times of one thread. The two searches of KSG are timed in turns, and their ratio counts: it decides
``lrlib.information.ksg.DENSE``, the number of coordinates from which all distances are taken. Their counts must agree.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from lrlib import runtime
from lrlib.bottleneck import annealed_ib, discrete_ib, gaussian_ib
from lrlib.information import kde_mi, ksg


def seconds(call: Callable[[], object]) -> float:
    """Return the CPU time of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def searches(n: int, rounds: int) -> None:
    """Print a row for each number of coordinates: both searches, and the median of their ratios."""
    print(f"KSG's search, n = {n}, k = 3   trees  distances  ratio")
    for d in (1, 2, 5, 8, 10, 25):
        x, noise = torch.randn(2, n, d, generator=runtime.generator(0), dtype=torch.float64)
        y = 0.5 * x + noise
        pairs = []
        for _ in range(rounds):
            counts: list[list] = [[], []]
            both = [
                seconds(lambda s=s, found=found: found.extend(s(x, y, 3, 1)))  # noqa: B023 - called at once
                for s, found in zip((ksg._tree_counts, ksg._dense_counts), counts, strict=True)
            ]
            assert all(torch.equal(a, b) for a, b in zip(*counts, strict=True))
            pairs.append(both)
        tree, dense = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{2 * d:4} coordinates              {tree:6.2f} {dense:10.2f} {ratio:6.2f}")


def others() -> None:
    """Print the times of what the issue and the docstrings promise to be fast."""
    g = runtime.generator(0)
    root = torch.randn(1000, 2000, generator=g, dtype=torch.float64)
    joint = root @ root.T / 2000
    halves = joint[:500, :500], joint[500:, 500:], joint[:500, 500:]
    table = torch.rand(30, 5, generator=g, dtype=torch.float64) ** 3
    betas = torch.logspace(0, 2, 60, dtype=torch.float64)
    t = torch.randn(10_000, 10, generator=g, dtype=torch.float64)
    calls = {
        "gaussian_ib, 500 variables": lambda: gaussian_ib(*halves, 5.0),
        "kde_mi, 10,000 x 10": lambda: kde_mi(t, 1.0),
        "discrete_ib, 30 x 5, beta 5": lambda: discrete_ib(table / table.sum(), 5.0),
        "annealed_ib, 30 x 5, 60 betas": lambda: annealed_ib(table / table.sum(), betas, refine=False),
        "the same, splits refined": lambda: annealed_ib(table / table.sum(), betas),
    }
    for name, call in calls.items():
        print(f"{name:32}{seconds(call):6.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000, help="samples of KSG's searches")
    parser.add_argument("--rounds", type=int, default=1, help="how often both searches are timed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    searches(arguments.n, arguments.rounds)
    others()
