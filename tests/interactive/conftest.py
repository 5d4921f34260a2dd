"""Figures shown in a real browser, from a minimal page: nothing may ask another host or write an error."""

import pytest
from explorer_examples import made_up_spectra

PAGE = """<!doctype html><html><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"></head><body>{body}</body></html>"""


class Shown:
    """Opens pages and keeps what they asked for and complained about."""

    def __init__(self, browser):
        self.browser = browser
        self.contexts = []
        self.requests = []
        self.errors = []

    def __call__(self, body, *, ready=1, width=1280, **options):
        """Show ``body`` and return the playwright page once ``ready`` figures have been drawn."""
        context = self.browser.new_context(viewport={"width": width, "height": 900}, **options)
        self.contexts.append(context)
        context.route("**/*", lambda route: (self.requests.append(route.request.url), route.abort()))
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.set_content(PAGE.format(body=body))
        page.wait_for_function(
            "n => document.querySelectorAll('.lr-figure[data-ready=true]').length >= n", arg=ready
        )
        # On a busy machine the window may get its width after the first drawing; the second comes two frames later.
        page.wait_for_function("width => innerWidth === width", arg=width)
        page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))"
        )
        return page


@pytest.fixture(autouse=True)
def page_output(monkeypatch):
    """Figures are shown as a page's HTML, unless a test says otherwise."""
    monkeypatch.setenv("LRLIB_OUTPUT", "page")


@pytest.fixture
def show(browser):
    shown = Shown(browser)
    yield shown
    for context in shown.contexts:
        context.close()
    assert shown.requests == []
    assert shown.errors == []


@pytest.fixture(scope="session")
def spectra():
    return made_up_spectra()
