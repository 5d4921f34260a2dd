"""What every figure with controls shares: one picture drawn by one JavaScript function, in three kinds of output.

How to write a figure: subclass :class:`Figure`, name its JavaScript file in ``javascript``, declare what the
picture needs as traits tagged ``sync=True`` (arrays as :func:`packed` bytes), and write ``alt_text`` and
``draw_still``. The file defines ``async function render({ model, el })``, which may use the parts in
``kit.js``, ends in ``export default { render }`` and returns a function that removes its listeners. Style of its own
goes into a ``.css`` file of the same name. One with much data is ``lazy`` and says ``page_heights``.
"""

import base64
import html
import io
import json
import math
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import matplotlib as mpl
import numpy as np
import traitlets
from matplotlib.figure import Figure as Canvas
from PIL import Image

from lrlib import _checks, runtime

HERE = Path(__file__).parent
STILL_DPI = 160
LABEL = re.compile(r"[a-z][a-z0-9-]*")

PAGE = """\
<div class="lr-mount" data-lr-mount="{label}"{lazy}>
{waiting}<img hidden class="lr-still" alt="{alt}" src="data:image/png;base64,{still}">
<noscript><style>.lr-still[hidden] {{ display: block !important; max-width: 100% }}</style></noscript>
<script type="application/json">{state}</script>
</div>
<style>
{css}
</style>
<script type="module">
{code}
start("{label}", render);
</script>
"""
# What stands where a lazy figure will be: as high, to be found by its words, and to be reached by the Tab key.
WAITING = """\
<div class="lr-waiting" tabindex="0" style="--lr-wide: {wide}px; --lr-narrow: {narrow}px">{title}</div>
<style>
.lr-mount[data-lr-lazy] {{ container-type: inline-size }}
.lr-mount[data-lr-lazy] .lr-still {{ max-width: 100% }}
.lr-waiting {{ height: var(--lr-wide); margin: 0.5rem 0 1.5rem; font-size: 16px; font-weight: 600 }}
.lr-waiting[hidden] {{ display: none }}
@container (max-width: 600px) {{ .lr-waiting {{ height: var(--lr-narrow) }} }}
</style>
<noscript><style>.lr-waiting {{ display: none }}</style></noscript>
"""


def packed(array: Any, dtype: str) -> bytes:
    """Return ``array`` as deflated bytes of ``dtype``, ``"<u2"`` or ``"<u4"``; ``unpack`` in kit.js undoes it.

    Differences between neighbours are what is deflated: curves that are smooth become half as long. They wrap
    round at the size of ``dtype``, and so does the sum that undoes them.

    >>> len(packed(range(1000), "<u4")) < 100
    True
    """
    _checks.one_of("dtype", dtype, ("<u2", "<u4"))
    flat = np.asarray(array).astype(dtype).ravel()
    return zlib.compress(np.diff(flat, prepend=flat.dtype.type(0)).tobytes(), level=9)


def nearest_place(name: str, value: float, places: list[float]) -> float:
    """Return the place nearest to ``value`` on a log scale, or 0 for 0 where that is a place; raise outside."""
    _checks.number(name, value)
    zero = places[0] == 0
    positive = places[1:] if zero else places
    if value == 0 and zero:
        return 0.0
    if not positive[0] <= value <= positive[-1]:
        rule = f"{'0 or ' * zero}between {positive[0]:g} and {positive[-1]:g}"
        raise ValueError(f"{name}={value:g}: must be {rule}")
    return min(positive, key=lambda place: abs(math.log(place / value)))


def script_json(value: Any) -> str:
    r"""Return ``value`` as JSON that is safe anywhere in HTML, a ``<script>`` included.

    ``<``, ``>`` and ``&`` become escapes, so neither ``</script>`` nor ``<!--`` can end it; all that is not
    ASCII does too, U+2028 and U+2029 included.

    >>> script_json("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def linked(files: Iterable[Path]) -> str:
    """Return the text of JavaScript modules as one: without what they import from one another, and nothing exported.

    They import in one line each, call one another's exports by their names, and stand in an order in which each comes
    after those it needs.
    """
    text = "".join(file.read_text("utf-8") for file in files)
    return re.sub(r"^import .*\n|^export (?=function|class|const|async)", "", text, flags=re.MULTILINE)


class Figure(anywidget.AnyWidget):
    """A figure with controls: a widget when live, self-contained HTML in a page, a PNG when still.

    Which of the three is decided by :func:`lrlib.runtime.output` when the figure is made. A live figure's
    traits go both ways: Python reads what the reader chose, and can set it. No comm is opened otherwise.

    Args:
        label: the HTML id of the figure: lower-case letters, digits and hyphens, such as ``"rank-explorer"``.
            Nothing else goes into the id, so a figure that is run again has the same one; where a page has
            two figures of one label, the second gets ``-2``.
        title: the line above the figure.
        traits: the subclass's own traits.
    """

    javascript: ClassVar[Path]
    still_colours: ClassVar[int] = 64  # a palette is enough for lines and letters: a third of the PNG's size
    more_javascript: ClassVar[tuple[Path, ...]] = ()  # files that go between kit.js and ``javascript``
    worker_javascript: ClassVar[tuple[Path, ...]] = ()  # run in a worker: the constant ENGINE is their text
    lazy: ClassVar[bool] = False  # in a page, decode and draw it only when it comes near the window
    label = traitlets.Unicode().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Put the class's JavaScript behind the parts that all figures share."""
        if "javascript" in cls.__dict__:
            files = (HERE / "kit.js", *cls.more_javascript, cls.javascript)
            engine = script_json(linked(cls.worker_javascript))
            cls._esm = f"const ENGINE = {engine};\n" * bool(cls.worker_javascript) + linked(files)
            own = cls.javascript.with_suffix(".css")  # a figure may have one, beside what all share
            sheets = (HERE / "figure.css", *([own] if own.exists() else []))
            cls._css = "".join(sheet.read_text("utf-8") for sheet in sheets)
        super().__init_subclass__(**kwargs)

    def __init__(self, *, label: str, title: str, **traits: Any) -> None:
        if not isinstance(label, str) or not LABEL.fullmatch(label):
            raise ValueError(
                f"label={label!r}: must be lower-case letters, digits and hyphens, a letter first"
            )
        if not isinstance(title, str) or not title.strip():
            raise ValueError(f"title={title!r}: must be a string that is not empty")
        self._output = runtime.output()
        super().__init__(label=label, title=title, **traits)

    @traitlets.default("alt")
    def _alt_text(self) -> str:
        return self.alt_text()

    def alt_text(self) -> str:
        """Return the figure in one sentence that does not change from run to run: it is the text/plain output."""
        raise NotImplementedError(f"{type(self).__name__} must define alt_text")

    def draw_still(self, canvas: Canvas) -> None:
        """Draw the figure as it is set now on an empty matplotlib ``Figure``."""
        raise NotImplementedError(f"{type(self).__name__} must define draw_still")

    def page_heights(self) -> tuple[int, int]:
        """Return the heights in pixels that a page keeps for a lazy figure: about 700 pixels wide, and on a phone."""
        raise NotImplementedError(f"{type(self).__name__} is lazy and must define page_heights")

    def open(self) -> None:
        """Open the comm of a live figure. There is nobody at the other end of a page's or a still's."""
        if self._output == "live":
            super().open()

    def still(self) -> bytes:
        """Return the figure as it is set now as PNG, drawn by matplotlib on white, without pyplot."""
        with mpl.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
            canvas = Canvas(figsize=(7.2, 5.2), layout="constrained", facecolor="white")
            self.draw_still(canvas)
            drawn = io.BytesIO()
            canvas.savefig(drawn, format="png", dpi=STILL_DPI)
        small = io.BytesIO()
        Image.open(drawn).convert("RGB").quantize(self.still_colours, dither=Image.Dither.NONE).save(
            small, format="PNG", optimize=True
        )
        return small.getvalue()

    def page_state(self) -> dict[str, Any]:
        """Return what the page's stand-in for the model starts from: this class's own synced traits."""
        own = set(self.trait_names(sync=True)) - set(anywidget.AnyWidget.class_trait_names(sync=True))
        values = {name: getattr(self, name) for name in sorted(own) if not name.startswith("_")}
        arrays = {name: base64.b64encode(v).decode() for name, v in values.items() if isinstance(v, bytes)}
        return {"values": {k: v for k, v in values.items() if k not in arrays}, "arrays": arrays}

    def page(self) -> str:
        """Return the figure as HTML that needs no kernel, no widget manager and no other host."""
        hosts = ("lazy.js", "page.js") if self.lazy else ("page.js",)
        code = str(self._esm) + "".join((HERE / name).read_text("utf-8") for name in hosts)
        css = str(self._css)
        if "</" in css or re.search(r"</script|<!--", code, re.IGNORECASE):
            raise ValueError(
                f"{self.javascript}: </script, </style or <!-- in it would end the page's own tag"
            )
        wide, narrow = self.page_heights() if self.lazy else (0, 0)
        waiting = WAITING.format(title=html.escape(self.title), wide=wide, narrow=narrow)
        return PAGE.format(
            label=self.label,
            lazy=" data-lr-lazy" if self.lazy else "",
            waiting=waiting if self.lazy else "",
            alt=html.escape(self.alt),
            still=base64.b64encode(self.still()).decode(),
            state=script_json(self.page_state()),
            css=css,
            code=code,
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the outputs of the kind that was decided when the figure was made."""
        if self._output == "live":
            data, metadata = super()._repr_mimebundle_(**kwargs)
            return {**data, "text/plain": self.alt}, metadata
        png = self.still()
        data = {"text/plain": self.alt, "image/png": base64.b64encode(png).decode()}
        if self._output == "page":
            data["text/html"] = self.page()
        width = round(Image.open(io.BytesIO(png)).width * 100 / STILL_DPI)
        return data, {"image/png": {"width": width, "alt": self.alt}}

    def __repr__(self) -> str:
        """Return the alternative text: the same from run to run, unlike a memory address."""
        return self.alt
