"""What a wrong statement is: an edit of one cell of a chapter, which the chapter's own check has to notice."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Wrong:
    """A wrong statement: ``old`` becomes ``new`` in the cell that holds ``cell``; the one with ``check`` must fail.

    Without ``check`` the edited cell itself must.
    """

    chapter: str
    name: str
    cell: str
    old: str
    new: str
    check: str | None = None
