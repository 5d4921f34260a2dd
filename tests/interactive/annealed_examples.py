"""Paths for the tests of AnnealedClusters: some solved, some made up, which are faster and can be as large as there may be."""

from functools import cache

import numpy as np
import torch

from lrlib.bottleneck import AnnealedIB, annealed_ib, effective_clusters

ANIMALS = ["dog", "wolf", "horse", "sparrow", "eagle", "trout", "shark", "eel"]
PLACES = ["land", "air", "water"]


def table(objects, outcomes, *, seed=0, sharpness=1.5):
    """A joint table with objects of different mass and predictions that are not flat."""
    g = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(objects, outcomes, generator=g, dtype=torch.float64)
    weights = 0.3 + torch.rand(objects, 1, generator=g, dtype=torch.float64)
    joint = weights * logits.softmax(1)
    return joint / joint.sum()


@cache
def solved(objects, outcomes, *, last=30.0, count=25):
    """A path of real solutions, not refined at its splits."""
    betas = torch.logspace(0, np.log10(last), count, dtype=torch.float64)
    return annealed_ib(table(objects, outcomes), betas, restarts=1, tol=1e-9, refine=False)


def information(joint):
    """I in nats of a joint table, by the sum over its entries."""
    joint = np.asarray(joint)
    independent = np.outer(joint.sum(1), joint.sum(0))
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / independent[seen])).sum())


def stacked(joint, betas, encoders, *, critical=(), converged=None):
    """A path of these encoders, solutions or not, with everything else that a path holds."""
    joint = joint.double()
    masses = [joint.sum(1) @ encoder for encoder in encoders]
    decoders = [
        torch.where(q[:, None] > 0, encoder.T @ joint / q.clamp_min(1e-300)[:, None], joint.sum(0))
        for q, encoder in zip(masses, encoders, strict=True)
    ]
    labels = [effective_clusters(q, d) for q, d in zip(masses, decoders, strict=True)]
    count = len(betas)
    converged = torch.ones(count, dtype=torch.bool) if converged is None else torch.tensor(converged)
    return AnnealedIB(
        joint=joint,
        betas=torch.as_tensor(betas, dtype=torch.float64),
        encoders=torch.stack(list(encoders)),
        marginals=torch.stack(masses),
        decoders=torch.stack(decoders),
        i_xt=torch.tensor([information(joint.sum(1)[:, None] * e) for e in encoders], dtype=torch.float64),
        i_ty=torch.tensor([information(e.T @ joint) for e in encoders], dtype=torch.float64),
        clusters=torch.tensor([int(label.max()) + 1 for label in labels]),
        residual=torch.where(converged, 1e-12, 3e-4).double(),
        converged=converged,
        critical=torch.tensor(critical, dtype=torch.float64),
        predicted=torch.tensor(critical, dtype=torch.float64),
    )


@cache
def made_up(objects, outcomes, *, clusters=8, count=40, seed=0):
    """Encoders that harden around some of the objects as beta grows: one update each, not solutions."""
    joint = table(objects, outcomes, seed=seed)
    channel = joint / joint.sum(1, keepdim=True)
    distance = (channel[:, None] * (channel[:, None] / channel[None, :clusters]).log()).sum(-1)
    betas = torch.logspace(-3, 2, count, dtype=torch.float64)
    encoders = [torch.softmax(-beta * distance, 1) for beta in betas]
    path = stacked(joint, betas, encoders)
    changes = (path.clusters.diff() != 0).nonzero()[:, 0]
    return stacked(joint, betas, encoders, critical=(betas[changes] * betas[changes + 1]).sqrt().tolist())


def reversed_path(path):
    """The same path from its last beta down."""
    kept = {"joint": path.joint, "critical": path.critical.flip(0), "predicted": path.predicted.flip(0)}
    names = (
        "betas",
        "encoders",
        "marginals",
        "decoders",
        "i_xt",
        "i_ty",
        "clusters",
        "residual",
        "converged",
    )
    return AnnealedIB(**kept, **{name: getattr(path, name).flip(0) for name in names})


def truth(path, place, weights):
    """What a reader should see at a place: clusters from the top down as (mass, prediction, encoder), by plain loops."""
    joint = np.asarray(path.joint)
    groups = []
    for t in range(path.marginals.shape[1]):
        if path.marginals[place, t] <= 1e-6:
            continue
        row = path.decoders[place, t].numpy()
        near = [g for g in groups if abs(path.decoders[place, g[0]].numpy() - row).sum() / 2 <= 1e-3]
        near[0].append(t) if near else groups.append([t])
    found = []
    for group in groups:
        encoder = sum(path.encoders[place, :, t].numpy() for t in group)
        mass = float((joint.sum(1) * encoder).sum())
        prediction = [float((joint[:, y] * encoder).sum()) / mass for y in range(joint.shape[1])]
        found.append((mass, prediction, encoder))
    return sorted(found, key=lambda cluster: -np.dot(weights, cluster[1]))
