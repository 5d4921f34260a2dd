"""Figures with controls: each is one class in one file, with its JavaScript beside it.

They run live as anywidgets (Jupyter, Colab, VS Code) and, without a kernel, in the pages of the built book.
"""

from lrlib.interactive.rank_explorer import RankExplorer

__all__ = ["RankExplorer"]
