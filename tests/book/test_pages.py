"""The built book in a real browser: every page, alone with its own host, in both themes, wide and narrow."""

import ast
import json
import os
import re
from dataclasses import dataclass
from urllib.parse import urldefrag

import build
import nbformat
import pytest
import torch
import yaml

pytestmark = pytest.mark.browser

PAGES = build.toc_files()
NOTEBOOKS = [path.relative_to(build.ROOT).with_suffix("").as_posix() for path in build.notebooks()]
WIDE, NARROW = 1280, 390  # CSS pixels: a laptop, a phone
THEMES = ("light", "dark")

# Console messages that are not ours to mend: (pattern, reason). Keep it empty if that can be had.
ALLOWED_CONSOLE: tuple[tuple[str, str], ...] = ()

# What the reader of a page sees, in one look: gathered once for each page, then asserted by many tests.
FACTS = r"""
() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const article = document.querySelector("article");
  const prose = article.cloneNode(true);
  all("pre, code, script, style, mjx-container, .lr-figure", prose).forEach((node) => node.remove());
  return {
    lang: document.documentElement.lang,
    title: document.title,
    h1: all("h1").filter((h) => h.getClientRects().length).map((h) => h.textContent.trim()),
    ids: all("[id]").map((node) => node.id),
    links: all("a[href]").map((a) => a.href),
    sidebar: all(".bd-links a[href]").map((a) => [a.textContent.trim(), a.href]),
    launch: all(".dropdown-launch-buttons a[href]").map((a) => a.href),
    images: all("article img").map((img) => ({ src: img.src, alt: img.alt, width: img.naturalWidth })),
    math: all(".math", article).length,
    typeset: all(".math", article).filter((node) => node.querySelector("mjx-container")).length,
    mathErrors: all("mjx-merror, [data-mjx-error]").map((node) => node.textContent),
    prose: prose.textContent,
  };
}
"""

# WCAG 2.2: the contrast of a colour with what lies behind an element, for the two tests that look for the smallest.
CONTRAST_OF = r"""
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data].map((v) => v / 255);
  };
  const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3]));
  const behind = (node) => {
    const layers = [];
    for (let n = node; n; n = n.parentElement) layers.push(rgba(getComputedStyle(n).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [1, 1, 1]);
  };
  const luminance = (c) =>
    c.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const contrastOf = (colour, node) => {
    const back = behind(node);
    const [dark, bright] = [luminance(over(rgba(colour), back)), luminance(back)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
"""

# The smallest contrast of text for each kind of element.
CONTRAST = (
    "() => {"
    + CONTRAST_OF
    + r"""
  const worst = {};
  for (const selector of ["h1", "h2", "p", "li", "a", "td", "th", "figcaption", "pre", "pre span", ".bd-links a", "summary"]) {
    for (const node of document.querySelectorAll(`article ${selector}, ${selector === ".bd-links a" ? selector : "#none"}`)) {
      if (node.closest(".lr-figure, .sr-only, .headerlink, img") || node.matches(".headerlink")) continue;
      if (!node.textContent.trim() || node.getClientRects().length === 0) continue;
      const ratio = contrastOf(getComputedStyle(node).color, node);
      if (!(selector in worst) || ratio < worst[selector][0]) worst[selector] = [ratio, node.textContent.trim().slice(0, 40)];
    }
  }
  return worst;
}
"""
)


@dataclass
class Visit:
    """One page as a browser met it."""

    facts: dict
    elsewhere: list[str]
    failed: list[str]
    console: list[str]
    errors: list[str]


def open_page(browser, site, name, *, width=WIDE, theme="light"):
    """Return a new context with the page in it, and the lists of what went wrong on the way.

    ``theme=None`` is a reader who has never chosen one: their first visit.
    """
    context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    if theme is not None:
        context.add_init_script(
            f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
        )
    elsewhere, failed, console, errors = [], [], [], []

    def gate(route):
        url = route.request.url
        if url.startswith((site, "data:", "blob:")):
            route.continue_()
        else:
            elsewhere.append(url)
            route.abort()

    context.route("**/*", gate)
    page = context.new_page()
    page.on("response", lambda r: failed.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.on(
        "console", lambda m: console.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.goto(f"{site}/{name}.html", wait_until="load")
    page.wait_for_function(
        "() => !document.querySelector('.math') || (window.MathJax?.startup?.promise ?? false)"
    )
    page.evaluate("async () => { await window.MathJax?.startup?.promise; await document.fonts.ready }")
    return context, page, (elsewhere, failed, console, errors)


@pytest.fixture(scope="module")
def visits(browser, site):
    """Every page of the table of contents, visited once."""
    seen = {}
    for name in PAGES:
        context, page, logs = open_page(browser, site, name, theme=None)
        page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")  # what loads lazily loads now
        page.wait_for_load_state("networkidle")
        seen[name] = Visit(page.evaluate(FACTS), *logs)
        context.close()
    return seen


@pytest.mark.parametrize("name", PAGES)
def test_a_page_needs_nobody_else_and_complains_of_nothing(visits, name):
    visit = visits[name]
    console = [m for m in visit.console if not any(re.search(pattern, m) for pattern, _ in ALLOWED_CONSOLE)]
    assert visit.elsewhere == [], "requests to other hosts"
    assert visit.failed == [], "files that are missing"
    assert visit.errors == [], "uncaught errors"
    assert console == [], "console messages"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_it_is(visits, name):
    facts = visits[name].facts
    assert facts["lang"] == "en"
    assert len(facts["h1"]) == 1, facts["h1"]
    assert facts["title"]


@pytest.mark.parametrize("name", PAGES)
def test_mathematics_is_typeset(visits, name):
    facts = visits[name].facts
    assert facts["typeset"] == facts["math"], "formulas that MathJax left alone"
    assert facts["mathErrors"] == []
    raw = re.findall(
        r"\$.{,30}|\\[(\[].{,30}|\\begin\{.{,30}|:::.{,30}|\{(?:cite|ref|prf).{,30}", facts["prose"]
    )
    assert raw == [], "markup that the reader sees raw"


def test_there_is_mathematics_to_typeset(visits):
    assert visits["book/notation"].facts["typeset"] > 20


@pytest.mark.parametrize("name", PAGES)
def test_every_image_is_there_and_described(visits, name):
    for image in visits[name].facts["images"]:
        assert image["width"] > 0, f"{image['src']} did not load"
        # Sphinx writes the file's path where no alternative text is given
        described = image["alt"].strip() and not re.search(r"\.(png|svg|jpe?g)$", image["alt"])
        assert described, (
            f"{image['src']} has no alternative text: set mystnb.image.alt in its cell's metadata"
        )


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(visits, site, name):
    known = {f"{site}/{page}.html": set(visit.facts["ids"]) for page, visit in visits.items()}
    dead = []
    for link in visits[name].facts["links"]:
        address, anchor = urldefrag(link)
        if not link.startswith(site):
            assert re.match(r"https://|mailto:", link), f"{link}: neither ours nor https"
        elif address in known:
            dead += [link] if anchor and anchor not in known[address] else []
        else:
            path = build.BUILD / "html" / address.removeprefix(site).lstrip("/").split("?")[0]
            dead += [link] if not path.is_file() else []
    assert dead == []


def test_the_sidebar_shows_the_whole_plan(visits, site):
    listed = [href for _, href in visits[PAGES[0]].facts["sidebar"]]
    assert [urldefrag(href)[0] for href in listed][-len(PAGES) + 1 :] == [
        f"{site}/{page}.html" for page in PAGES[1:]
    ]


def test_chapter_numbers_in_the_sidebar_are_those_of_the_files(visits):
    for text, href in visits[PAGES[0]].facts["sidebar"]:
        if match := re.search(r"/(\d\d)-[^/]+\.html", href):
            assert text.startswith(f"{int(match[1])}. "), (text, href)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_colab_button_opens_this_notebook(visits, name):
    repository = yaml.safe_load((build.ROOT / "_config.yml").read_text())["repository"]["url"]
    colab = repository.replace("https://github.com", "https://colab.research.google.com/github")
    assert f"{colab}/blob/main/{name}.ipynb" in visits[name].facts["launch"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_phone(browser, site, name):
    context, page, _ = open_page(browser, site, name, width=NARROW)
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    culprits = page.evaluate(
        """() => [...document.querySelectorAll("article *")]
            .filter((n) => n.getBoundingClientRect().right > innerWidth + 1 && !n.closest("mjx-assistive-mml"))
            .map((n) => `${n.tagName}.${n.className}`).slice(0, 5)"""
    )
    context.close()
    assert wide <= NARROW, f"the page is {wide} px wide; look at {culprits}"


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PAGES)
def test_text_can_be_read_in_both_themes(browser, site, name, theme):
    context, page, _ = open_page(browser, site, name, theme=theme)
    assert page.evaluate("() => document.documentElement.dataset.theme") == theme
    worst = page.evaluate(CONTRAST)
    context.close()
    # WCAG AA: 4.5, and 3 for large text (headings)
    poor = {
        kind: found
        for kind, found in worst.items()
        if found[0] < (3.0 if kind in ("h1", "h2") else 4.5) - 0.005
    }
    assert poor == {}


# --- RankExplorer, on the pages that show it ---------------------------------------------------------------------

EXPLORER = ".lr-figure[data-figure=RankExplorer][data-ready=true]"
WITH_EXPLORER = ["book/index", "book/05-mnist"]


@pytest.fixture(
    scope="module", params=[(n, w, t) for n in WITH_EXPLORER for w in (WIDE, NARROW) for t in THEMES], ids=str
)
def explorer(request, browser, site):
    """The first RankExplorer of a page, in view and ready."""
    name, width, theme = request.param
    context, page, logs = open_page(browser, site, name, width=width, theme=theme)
    page.locator(".lr-figure[data-figure=RankExplorer]").first.scroll_into_view_if_needed()
    figure = page.locator(EXPLORER).first
    figure.wait_for(state="visible", timeout=10_000)
    yield figure
    context.close()
    assert logs[0] == []
    assert logs[3] == []


def counts(figure) -> list[str]:
    """The count of every layer, as shown."""
    return figure.locator("[data-count]").all_inner_texts()


def look(figure) -> tuple[bytes, bytes]:
    """Pixels of both plots."""
    return tuple(figure.locator(f"[data-plot={plot}]").screenshot() for plot in ("spectrum", "curves"))


def slide(figure, control: str, share: float) -> None:
    """Click a slider at a share of its length."""
    slider = figure.locator(f"[data-control={control}]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    slider.click(position={"x": 8 + share * (box["width"] - 16), "y": box["height"] / 2})


def test_explorer_shows_a_count_for_every_layer(explorer):
    shown = counts(explorer)
    assert len(shown) >= 2
    assert all(re.fullmatch(r"\d+\.\d\d", text) for text in shown), shown


@pytest.mark.parametrize("control", ["step", "eps"])
def test_explorer_answers_the_mouse(explorer, control):
    slide(explorer, control, 0.1)
    before, shown = look(explorer), counts(explorer)
    slide(explorer, control, 0.9)
    after = look(explorer)
    assert before[0] != after[0], "the spectrum did not change"
    assert before[1] != after[1], "the curves did not change"
    assert counts(explorer) != shown


@pytest.mark.parametrize("control", ["step", "eps"])
@pytest.mark.parametrize("key", ["ArrowRight", "End"])
def test_explorer_answers_the_keyboard(explorer, control, key):
    slider = explorer.locator(f"[data-control={control}]")
    slider.focus()
    slider.press("Home")
    before, at = look(explorer), slider.input_value()
    slider.press(key)
    assert slider.input_value() != at
    assert look(explorer)[0] != before[0]


def test_explorer_switches_between_absolute_and_relative(explorer):
    slide(explorer, "eps", 0.5)
    before, shown = look(explorer), counts(explorer)
    switch = explorer.locator("[data-control=relative]")
    switch.focus()
    switch.press("Space")
    after = look(explorer)
    switch.press("Space")
    assert after[0] != before[0]
    assert counts(explorer) == shown, "switching twice comes back"


def test_explorer_controls_have_names(explorer):
    unnamed = explorer.evaluate(
        """(figure) => [...figure.querySelectorAll("input, button, select")]
            .filter((n) => !(n.labels?.length || n.getAttribute("aria-label") || n.getAttribute("aria-labelledby")
                             || n.textContent.trim()))
            .map((n) => n.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []


def test_explorer_stays_inside_the_page(explorer):
    assert explorer.evaluate("(figure) => document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture(scope="module")
def landing_spectra():
    """The training steps and spectra of the landing page's figure, from its own code run again in this process."""
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("a GPU does not repeat a training run to the last digit")
    cells = nbformat.read(build.ROOT / "book" / "index.ipynb", as_version=4).cells
    code = [c.source for c in cells if c.cell_type == "code" and "remove-cell" not in c.metadata.tags]
    last = next(i for i, source in enumerate(code) if "RankExplorer(" in source)
    tree = ast.parse("\n".join(code[: last + 1]))
    figure = tree.body.pop()  # what is left trains the network and does not draw it
    assert isinstance(figure, ast.Expr)
    names = {}
    threads = torch.get_num_threads()
    # As many as the Makefile gave the chapter: another count is another order of sums, and another last digit.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    try:
        exec(compile(tree, "index.ipynb", "exec"), names)
        steps, spectra = (
            eval(compile(ast.Expression(a), "index.ipynb", "eval"), names) for a in figure.value.args
        )
    finally:
        torch.set_num_threads(threads)
    return list(steps), list(spectra)


def test_the_counts_on_the_landing_page_are_those_of_python(browser, site, landing_spectra):
    """Counted here from singular values, with neither lrlib.rank nor the figure's tables between."""
    steps, spectra = landing_spectra
    context, page, _ = open_page(browser, site, "book/index")
    figure = page.locator(EXPLORER).first
    figure.wait_for(state="visible", timeout=10_000)
    mount = page.locator(".lr-mount:has([data-figure=RankExplorer]) script[type='application/json']").first
    facts = json.loads(mount.text_content())["values"]["facts"]
    assert facts["steps"] == steps
    limit = facts["relativePlaces"] - 1  # relative thresholds go up to 1
    for relative in (False, True):
        figure.locator("[data-control=relative]").set_checked(relative)
        for s in (0, len(steps) // 2, len(steps) - 1):
            for e in (0, limit // 3, limit // 2, limit):
                figure.locator("[data-control=step]").fill(str(s))
                figure.locator("[data-control=eps]").fill(str(e))
                for layer, values in zip(spectra[s].layers, spectra[s].values, strict=True):
                    scale = values[:, :1] if relative else 1.0
                    mean = (values > facts["thresholds"][e] * scale).sum(1).double().mean().item()
                    shown = float(figure.locator(f"[data-count={layer}]").inner_text())
                    where = f"{layer}, step {steps[s]}, eps {facts['thresholds'][e]}, relative {relative}"
                    assert shown == pytest.approx(mean, abs=0.005 + 1e-9), where  # two decimals are shown
    context.close()
