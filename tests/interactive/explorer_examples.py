"""Made-up spectra for the tests of RankExplorer, and what lrlib.rank counts in them."""

import torch

from lrlib.jacobian import Spectra
from lrlib.rank import count_above, mean_and_stderr
from lrlib.runtime import generator

STEPS = (0, 1, 10, 30, 100, 300, 1000)
WIDTHS = {"layer1": 24, "layer2": 24, "layer3": 5}
N = 16
SETTINGS = [  # (step, eps, relative)
    (1000, 0.1, False),
    (0, 0.1, False),
    (30, 0.0016, False),
    (100, 1.0, False),
    (300, 10.0, False),
    (300, 0.1, True),
    (0, 0.0001, True),
    (1000, 0.5, True),
    (1, 1.0, True),
]


def made_up_spectra(steps=STEPS, widths=WIDTHS, n=N, seed=0):
    """Spectra that decay along the index and, for the deeper layers, with the step; some values exactly 0."""
    g = generator(seed)

    def values(place, depth, width):
        decay = torch.arange(width) * (0.05 + 0.03 * depth * place)
        s = 3 * torch.exp(-decay + 0.3 * torch.randn(n, width, generator=g, dtype=torch.float64))
        return torch.where(s > 2e-3, s, 0.0).sort(-1, descending=True).values

    return [
        Spectra(tuple(widths), tuple(values(i, l, width) for l, width in enumerate(widths.values())))
        for i in range(len(steps))
    ]


def counted(spectra, step, eps, relative):
    """Mean count and standard error of every layer, straight from lrlib.rank."""
    counts = [count_above(s, eps, relative=relative) for s in spectra[STEPS.index(step)].values]
    return mean_and_stderr(torch.stack(counts, dim=1))
