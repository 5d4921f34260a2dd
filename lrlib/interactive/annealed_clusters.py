"""An annealed information bottleneck: clusters that split as beta grows, and the point on the information curve."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from jaxtyping import Float64
from matplotlib.figure import Figure as Canvas
from numpy import ndarray

from lrlib import _checks
from lrlib.bottleneck import AnnealedIB
from lrlib.interactive.base import HERE, Figure, packed
from lrlib.interactive.cluster_still import COLOURS, LEAST, WIDEST, draw_clusters
from lrlib.interactive.cluster_tree import ClusterTree, cluster_tree

MOST_OBJECTS, MOST_OUTCOMES, MOST_BETAS = 40, 12, 500  # what can be told apart, and what a page should carry
CODES = 50_000  # probabilities are sent in so many steps: uint16, with 0 for "not there"


class AnnealedClusters(Figure):
    """Clusters of an annealed information bottleneck over beta, and what each of them holds, predicts and costs.

    Live, these go both ways: ``beta`` (what is set moves to the nearest beta of the path, in ratio), ``table``
    (the name of the path that is shown) and ``outcome`` (whose probability is drawn upwards; None for the axis
    along which the predictions p(y|x) differ most). Clusters are numbered from the top of the tree.

    Args:
        path: what :func:`lrlib.bottleneck.annealed_ib` returns, or several of them as title -> path. At most 40
            objects, 12 outcomes and 500 betas, finite and above 0.
        names: the names of the objects x, or title -> names; x1, x2, ... if left out.
        outcomes: the names of the outcomes y, or title -> names; y1, y2, ... if left out.
        beta: where the reader's cursor stands at first: just after the first split if left out.
        label, title: the figure's HTML id and the line above it.

    Raises:
        TypeError, ValueError: for an argument outside these rules; the message names it.
    """

    javascript = HERE / "annealed_clusters.js"
    more_javascript = (HERE / "picker.js", HERE / "cluster_plots.js")
    still_colours = 128  # the blend from one colour to another needs more than lines do
    table = traitlets.Unicode().tag(sync=True)
    beta = traitlets.Float().tag(sync=True)
    outcome = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    facts = traitlets.Dict().tag(sync=True)  # what the picture needs besides its numbers
    # Packed, table after table and branch after branch: q(t), q(y|t) and q(t|x), each over the betas, in codes
    branches = traitlets.Bytes().tag(sync=True)

    def __init__(
        self,
        path: AnnealedIB | Mapping[str, AnnealedIB],
        *,
        names: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        outcomes: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        beta: float | None = None,
        label: str = "annealed-clusters",
        title: str = "Clusters of an information bottleneck, splitting as β grows",
    ) -> None:
        self._paths = _checked_paths(path)
        self._trees = {name: cluster_tree(one) for name, one in self._paths.items()}
        self._names, self._outcomes = {}, {}
        for name, one in self._paths.items():
            objects, answers = one.joint.shape
            self._names[name] = _checked_names("names", names, name, "x", objects)
            self._outcomes[name] = _checked_names("outcomes", outcomes, name, "y", answers)
        table = next(iter(self._paths))
        tree = self._trees[table]
        split = min((place for place, *_ in tree.births), default=len(tree.betas) - 1)
        first = {
            "table": table,
            "beta": float(tree.betas[split]) if beta is None else tree.nearest(beta),
            "outcome": self._first_outcome(table),
        }
        super().__init__(label=label, title=title, facts=self._facts(first), branches=self._codes(), **first)

    @property
    def path(self) -> AnnealedIB:
        """The path that is shown."""
        return self._paths[self.table]

    @property
    def clusters(self) -> int:
        """How many clusters can be told apart at ``beta``."""
        return len(self._numbered())

    @property
    def masses(self) -> Float64[ndarray, " K"]:
        """The masses q(t) of the clusters at ``beta``, in the order of their numbers."""
        return self._tree.masses[self._place, self._numbered()]

    @property
    def encoder(self) -> Float64[ndarray, "X K"]:
        """q(t|x) at ``beta``, with clusters in the order of their numbers."""
        return self._tree.encoders[self._place][:, self._numbered()]

    @property
    def decoder(self) -> Float64[ndarray, "K Y"]:
        """The predictions q(y|t) at ``beta``, in the order of their numbers."""
        return self._tree.decoders[self._place, self._numbered()]

    @property
    def i_xt(self) -> float:
        """I(X;T) at ``beta``, in nats."""
        return float(self._tree.i_xt[self._place])

    @property
    def i_ty(self) -> float:
        """I(T;Y) at ``beta``, in nats."""
        return float(self._tree.i_ty[self._place])

    @property
    def _tree(self) -> ClusterTree:
        return self._trees[self.table]

    @property
    def _place(self) -> int:
        return self._tree.betas.tolist().index(self.beta)

    def _numbered(self) -> list[int]:
        """Return the branches at ``beta`` from the top of the tree to its bottom."""
        heights = self._tree.decoders[self._place] @ self._axis()
        return sorted(self._tree.present(self._place), key=lambda branch: (-heights[branch], branch))

    def _axis(self) -> Float64[ndarray, " Y"]:
        """Return the weights of the outcomes on the axis that is drawn upwards."""
        if self.outcome is None:
            return self._tree.main_axis
        return np.array([float(name == self.outcome) for name in self._outcomes[self.table]])

    def _first_outcome(self, table: str) -> str | None:
        """Return the second of two outcomes; of more, none is more telling than the main axis."""
        outcomes = self._outcomes[table]
        return None if len(outcomes) > 2 else outcomes[-1]

    @traitlets.validate("table")
    def _known_table(self, proposal: dict) -> str:
        _checks.one_of("table", proposal["value"], self._paths)
        return proposal["value"]

    @traitlets.observe("table")
    def _new_table(self, change: dict) -> None:
        """Move beta to the new table's grid, and drop an outcome that it does not have."""
        self.beta = self._tree.nearest(self.beta)
        if self.outcome not in (None, *self._outcomes[self.table]):
            self.outcome = self._first_outcome(self.table)

    @traitlets.validate("beta")
    def _valid_beta(self, proposal: dict) -> float:
        return self._tree.nearest(proposal["value"])

    @traitlets.validate("outcome")
    def _known_outcome(self, proposal: dict) -> str | None:
        if proposal["value"] is not None:
            _checks.one_of("outcome", proposal["value"], self._outcomes[self.table])
        return proposal["value"]

    def alt_text(self) -> str:
        """Return what is shown, without a setting that the reader can change."""
        sizes = [(name, len(self._names[name]), len(self._outcomes[name])) for name in self._paths]
        tables = "; ".join(
            f"{name}: {objects} objects, {outcomes} outcomes" for name, objects, outcomes in sizes
        )
        return (
            f"Annealed clusters: a tree of the clusters of an information bottleneck, which split as beta grows; the "
            f"point on the information curve at one beta; and the encoder q(t|x) there. Beta can be chosen. {tables}."
        )

    def draw_still(self, canvas: Canvas) -> None:
        """Draw the tree, and below it the information plane and the encoder at ``beta``."""
        axis_name = "main axis of p(y|x)" if self.outcome is None else f"P({self.outcome})"
        draw_clusters(
            canvas,
            self._tree,
            place=self._place,
            axis=self._axis(),
            axis_name=axis_name,
            numbered=self._numbered(),
            names=self._names[self.table],
            critical=self.path.critical.tolist(),
        )

    def _codes(self) -> bytes:
        """Return every branch's numbers over the betas in steps of 1 / CODES, plus 1; 0 where it is not there."""
        rows = []
        for tree in self._trees.values():
            for branch in range(tree.masses.shape[1]):
                there = ~np.isnan(tree.masses[:, branch])
                numbers = np.column_stack(
                    [tree.masses[:, branch], tree.decoders[:, branch], tree.encoders[:, :, branch]]
                )
                rows.append(np.where(there, np.rint(numbers.T * CODES) + 1, 0).ravel())
        return packed(np.concatenate(rows), "<u2")

    def _facts(self, first: dict[str, Any]) -> dict[str, Any]:
        return {
            "tables": [self._table_facts(name) for name in self._paths],
            "unit": 1 / CODES,
            "colours": list(COLOURS),
            "widest": WIDEST,
            "least": LEAST,
            "first": first,
        }

    def _table_facts(self, name: str) -> dict[str, Any]:
        tree, path = self._trees[name], self._paths[name]
        return {
            "title": name,
            "names": self._names[name],
            "outcomes": self._outcomes[name],
            "outcome": self._first_outcome(name),
            "betas": tree.betas.tolist(),
            "xt": _rounded(tree.i_xt),
            "ty": _rounded(tree.i_ty),
            "most": tree.information,
            "critical": sorted(path.critical.tolist()),
            "loose": {place: tree.residuals[place] for place in np.flatnonzero(~tree.converged).tolist()},
            "predictions": [_rounded(row) for row in tree.conditionals],
            "axis": tree.main_axis.tolist(),
            "branches": tree.masses.shape[1],
            "births": [list(birth) for birth in tree.births],
            "deaths": [list(death) for death in tree.deaths],
        }


def _rounded(numbers: Float64[ndarray, " n"]) -> list[float]:
    return [float(f"{number:.7g}") for number in numbers.tolist()]


def _checked_paths(path: AnnealedIB | Mapping[str, AnnealedIB]) -> dict[str, AnnealedIB]:
    """Return title -> path; raise unless each is a path that can be drawn."""
    paths = dict(path) if isinstance(path, Mapping) else {"table": path}
    if not paths:
        raise ValueError("path={}: must hold one path or more")
    for title, one in paths.items():
        name = f"path[{title!r}]" if isinstance(path, Mapping) else "path"
        if not isinstance(title, str) or not title.strip():
            raise ValueError(f"path: the title {title!r} must be a string that is not empty")
        if not isinstance(one, AnnealedIB):
            raise TypeError(f"{name}: must be what annealed_ib returns, not {type(one).__name__}")
        sizes = (*one.joint.shape, len(one.betas))
        for count, most, what in zip(
            sizes, (MOST_OBJECTS, MOST_OUTCOMES, MOST_BETAS), ("objects", "outcomes", "betas"), strict=True
        ):
            if count > most:
                raise ValueError(f"{name}: has {count} {what}; must have at most {most}")
    return paths


def _checked_names(argument: str, given: Any, table: str, letter: str, count: int) -> list[str]:
    """Return the names of the objects or outcomes of a table; raise unless they are as many, and different."""
    if isinstance(given, Mapping):
        if table not in given:
            raise ValueError(f"{argument}: has no entry for the path {table!r}")
        argument, given = f"{argument}[{table!r}]", given[table]
    if given is None:
        return [f"{letter}{i + 1}" for i in range(count)]
    listed = [None] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    if not all(isinstance(name, str) and name.strip() for name in listed):
        raise ValueError(f"{argument}={given!r}: must be a sequence of strings that are not empty")
    if len(listed) != count or len(set(listed)) != count:
        raise ValueError(f"{argument}={listed!r}: must be {count} different names")
    return listed
