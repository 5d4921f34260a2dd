"""Plain modules of many kinds, for images of two channels and 4 x 4 pixels."""

import torch
from jacobian_cases import seeded
from torch import nn
from torch.nn.utils import parametrizations

from lrlib.runtime import generator


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


ENCODER_LAYERS = (["embed", "mixer.linear1", "mixer.linear2", "head"], ["mixer", "mixer.norm1", "head"])
# how it is built, the layers that are looked at by default, and others that can be named
NETWORKS = {
    "convolutions": (convolutions, ["0", "4", "10"], ["1", "5", "3"]),
    "residual": (Residual, ["lift", "blocks.0.2", "blocks.1.2", "head"], ["norm", "blocks.1"]),
    "attention": (lambda: Patches(Attention()), ["embed", "head"], ["mixer", "mixer.norm", "head"]),
    "encoder": (lambda: encoder(False), *ENCODER_LAYERS),
    "encoder, norm first": (lambda: encoder(True), *ENCODER_LAYERS),
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
