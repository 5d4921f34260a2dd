"""The clusters of an annealed bottleneck as branches that split: what AnnealedClusters draws of one table."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from lrlib import _checks
from lrlib.bottleneck import AnnealedIB, effective_clusters


@dataclass(frozen=True)
class ClusterTree:
    """A path of solutions with identical clusters made one, each on a branch that it keeps from beta to beta.

    Attributes:
        betas: (B,) rising.
        i_xt, i_ty: (B,) what is kept of X, and of Y, in nats.
        residuals: (B,) the largest change of an entry of q(t|x) in one more update.
        converged: (B,) whether that is small enough.
        encoders: (B, |X|, S) q(t|x) on each of S branches; 0 where a branch is not there.
        masses: (B, S) q(t); NaN where a branch is not there.
        decoders: (B, S, |Y|) q(y|t); NaN where a branch is not there.
        births: (place, branch, parent) of each branch that starts after place 0, with the branch it leaves.
        deaths: (place, branch, heir) of each branch that ends: the first place without it, and where it goes.
        marginal: (|X|,) p(x).
        conditionals: (|X|, |Y|) p(y|x).
    """

    betas: Float64[ndarray, " B"]
    i_xt: Float64[ndarray, " B"]
    i_ty: Float64[ndarray, " B"]
    residuals: Float64[ndarray, " B"]
    converged: Bool[ndarray, " B"]
    encoders: Float64[ndarray, "B X S"]
    masses: Float64[ndarray, "B S"]
    decoders: Float64[ndarray, "B S Y"]
    births: tuple[tuple[int, int, int], ...]
    deaths: tuple[tuple[int, int, int], ...]
    marginal: Float64[ndarray, " X"]
    conditionals: Float64[ndarray, "X Y"]

    def present(self, place: int) -> list[int]:
        """Return the branches that are there at a place on the grid of betas."""
        return np.flatnonzero(~np.isnan(self.masses[place])).tolist()

    def nearest(self, beta: float) -> float:
        """Return the beta of the path that is nearest to this one in ratio."""
        _checks.number("beta", beta, exclusive=True)
        return float(self.betas[np.abs(np.log(self.betas / beta)).argmin()])

    def links(self) -> list[tuple[int, int, int]]:
        """Return (place, old, new) of every piece of a branch: from ``old`` at the place before to ``new`` at it."""
        parents = {(place, branch): parent for place, branch, parent in self.births}
        kept = [
            (place, parents.get((place, branch), branch), branch)
            for place in range(1, len(self.betas))
            for branch in self.present(place)
        ]
        return kept + list(self.deaths)

    @property
    def information(self) -> float:
        """I(X;Y) in nats: what no encoder can exceed."""
        joint = self.marginal[:, None] * self.conditionals
        seen = joint > 0
        ratios = self.conditionals[seen] / np.broadcast_to(joint.sum(0), joint.shape)[seen]
        return max(0.0, float(joint[seen] @ np.log(ratios)))

    @property
    def main_axis(self) -> Float64[ndarray, " Y"]:
        """Weights (w) of the outcomes: w @ q(y|t) is 0 at p(y), and differs most over the objects' p(y|x)."""
        centre = self.marginal @ self.conditionals
        spread = np.sqrt(self.marginal)[:, None] * (self.conditionals - centre)
        axis = np.linalg.svd(spread)[2][0]
        axis = axis * np.sign(axis[np.abs(axis).argmax()])
        return axis - axis @ centre  # probabilities sum to 1: the same as moving the origin


def cluster_tree(path: AnnealedIB) -> ClusterTree:
    """Return the clusters of ``path`` as branches, over rising betas.

    What counts as one cluster is said by :func:`lrlib.bottleneck.effective_clusters`. From one beta to the next,
    clusters keep their branches in the pairing with the least total variation between their q(y|t); one that is
    left over starts a branch at the nearest cluster before it.
    """
    joint = np.asarray(path.joint)
    marginal = joint.sum(1)
    order = path.betas.argsort().tolist()
    encoders_now = [_merged(path, place) for place in order]
    masses_now = [marginal @ encoder for encoder in encoders_now]
    decoders_now = [e.T @ joint / mass[:, None] for e, mass in zip(encoders_now, masses_now, strict=True)]
    branches, births, deaths = _branches(decoders_now)
    count = 1 + max(branch for row in branches for branch in row)
    encoders = np.zeros((len(order), len(marginal), count))
    masses = np.full((len(order), count), np.nan)
    decoders = np.full((len(order), count, joint.shape[1]), np.nan)
    for place, row in enumerate(branches):
        encoders[place][:, row] = encoders_now[place]
        masses[place, row] = masses_now[place]
        decoders[place, row] = decoders_now[place]
    return ClusterTree(
        betas=path.betas[order].numpy(),
        i_xt=path.i_xt[order].numpy(),
        i_ty=path.i_ty[order].numpy(),
        residuals=path.residual[order].numpy(),
        converged=path.converged[order].numpy(),
        encoders=encoders,
        masses=masses,
        decoders=decoders,
        births=tuple(births),
        deaths=tuple(deaths),
        marginal=marginal,
        conditionals=joint / marginal[:, None],
    )


def _merged(path: AnnealedIB, place: int) -> Float64[ndarray, "X K"]:
    """Return q(t|x) of the clusters that can be told apart, the columns of each added up."""
    labels = effective_clusters(path.marginals[place], path.decoders[place])
    member = labels[:, None] == torch.arange(int(labels.max()) + 1)
    return (path.encoders[place] @ member.double()).numpy()


def _branches(decoders: list[Float64[ndarray, "K Y"]]) -> tuple[list[list[int]], list, list]:
    """Return the branch of each cluster at each place, and the branches' births and deaths."""
    branches, births, deaths = [list(range(len(decoders[0])))], [], []
    for place in range(1, len(decoders)):
        before = branches[-1]
        apart = np.abs(decoders[place - 1][:, None] - decoders[place]).sum(-1) / 2  # (K before, K now)
        old, new = linear_sum_assignment(apart)
        now = dict(zip(new.tolist(), (before[i] for i in old), strict=True))
        free = (branch for branch in range(len(before) + apart.shape[1]) if branch not in before)
        for i in sorted(set(range(apart.shape[1])) - set(now)):
            now[i] = next(free)
            births.append((place, now[i], before[apart[:, i].argmin()]))
        for i in sorted(set(range(len(before))) - set(old.tolist())):
            deaths.append((place, before[i], now[int(apart[i].argmin())]))
        branches.append([now[i] for i in range(apart.shape[1])])
    return branches, births, deaths
