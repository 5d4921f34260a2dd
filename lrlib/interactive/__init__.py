"""Figures with controls: each is one class in one file, with its JavaScript beside it.

They run live as anywidgets (Jupyter, Colab, VS Code) and, without a kernel, in the pages of the built book.
"""

from lrlib.interactive.annealed_clusters import AnnealedClusters
from lrlib.interactive.beta_dial import BetaDial
from lrlib.interactive.bottleneck_dial import BottleneckDial
from lrlib.interactive.clock_collapse import ClockCollapse, HalfTimeSpread
from lrlib.interactive.estimator_bench import EstimatorBench
from lrlib.interactive.information_plane import InformationPlane
from lrlib.interactive.playground import Playground
from lrlib.interactive.rank_explorer import RankExplorer
from lrlib.interactive.region_map import RegionMap
from lrlib.interactive.regions import Region, linear_regions
from lrlib.interactive.singular_value_race import SingularValueRace
from lrlib.interactive.training_explorer import TrainingExplorer

__all__ = [
    "AnnealedClusters",
    "BetaDial",
    "BottleneckDial",
    "ClockCollapse",
    "EstimatorBench",
    "HalfTimeSpread",
    "InformationPlane",
    "Playground",
    "RankExplorer",
    "Region",
    "RegionMap",
    "SingularValueRace",
    "TrainingExplorer",
    "linear_regions",
]
