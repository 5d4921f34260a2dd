"""The playground in the built book: a page of its own, and a small one on the landing page that waits for a click."""

import build
import pytest
from test_pages import CONTRAST_OF, THEMES, WIDE, open_page

pytestmark = pytest.mark.browser
NARROW = 390  # CSS pixels
PATIENCE = 120_000  # ms, for a whole course on a busy machine
MOST_BYTES = 400_000  # of the playground's page


@pytest.fixture
def visit(browser, site):
    """Open a page of the book; nothing may be asked of another host, and nothing complained of."""
    opened = []

    def go(name, **options):
        context, page, logs = open_page(browser, site, name, **options)
        opened.append((context, logs))
        page.wait_for_selector(".lr-play[data-settled=true]", timeout=PATIENCE)
        return page, page.locator(".lr-play").first

    yield go
    for context, (elsewhere, _, console, errors) in opened:
        context.close()
        assert elsewhere == []
        assert console == []
        assert errors == []


def train(page, figure):
    figure.locator("[data-control=start]").click()
    page.wait_for_selector(".lr-play[data-finished=true][data-settled=true]", timeout=PATIENCE)


def test_the_playground_is_the_second_page_and_a_small_one():
    assert build.toc_files()[1] == "book/playground"
    assert (build.BUILD / "html" / "book" / "playground.html").stat().st_size < MOST_BYTES


@pytest.mark.parametrize(("width", "theme"), [(WIDE, "light"), (NARROW, "dark")])
def test_the_landing_page_trains_after_a_click_and_not_before(visit, width, theme):
    page, figure = visit("book/index", width=width, theme=theme)
    assert "lr-compact" in figure.get_attribute("class")
    page.wait_for_timeout(500)
    assert figure.get_attribute("data-step") == "0"
    before = figure.locator("[data-plot=ranks]").screenshot()
    train(page, figure)
    assert int(figure.get_attribute("data-step")) > 0
    assert figure.locator("[data-plot=ranks]").screenshot() != before
    assert page.evaluate("location.hash") == ""


@pytest.mark.parametrize(("width", "theme"), [(WIDE, "dark"), (NARROW, "light")])
def test_the_playground_trains_and_keeps_its_state_in_the_address(visit, width, theme):
    page, figure = visit("book/playground", width=width, theme=theme)
    pictures = ("ranks", "values", "loss", "score")
    looks = [figure.locator(f"[data-plot={name}]").screenshot() for name in pictures]
    looks += [figure.locator(f"[data-canvas={name}]").screenshot() for name in ("plane", "features")]
    figure.locator("[data-preset=too-short]").click()
    figure.locator("[data-control=speed]").select_option(label="as fast as it goes")
    train(page, figure)
    after = [figure.locator(f"[data-plot={name}]").screenshot() for name in pictures]
    after += [figure.locator(f"[data-canvas={name}]").screenshot() for name in ("plane", "features")]
    assert all(a != b for a, b in zip(looks, after, strict=True))
    fragment = page.evaluate("location.hash")
    assert "steps=200" in fragment
    ranks = figure.locator("[data-plot=ranks]").get_attribute("data-ranks")
    other, again = visit("book/playground", width=width, theme=theme)
    other.evaluate(f"location.hash = {fragment!r}")
    other.wait_for_selector("[data-preset=too-short][aria-pressed=true]")
    train(other, again)
    assert again.locator("[data-plot=ranks]").get_attribute("data-ranks") == ranks


@pytest.mark.parametrize("theme", THEMES)
def test_its_words_can_be_read_in_both_themes(visit, theme):
    page, _ = visit("book/playground", theme=theme)
    contrasts = page.evaluate(
        "() => {"
        + CONTRAST_OF
        + """
            return [...document.querySelectorAll(".lr-play :is(p, span, button, legend, summary, li, text, pre)")]
                .filter((node) => node.textContent.trim() && node.getClientRects().length && !node.closest("[aria-disabled=true], .lr-output"))
                .map((node) => {
                    const style = getComputedStyle(node);
                    return [contrastOf(node.tagName === "text" ? style.fill : style.color, node), node.textContent.trim().slice(0, 40)];
                });
        }"""
    )
    assert len(contrasts) > 50
    assert [found for found in contrasts if found[0] < 4.495] == []  # WCAG AA
