"""The playground's engine without its figure: its modules in a page of a real browser, called from Python."""

import numpy as np
import pytest

from lrlib.interactive.base import linked
from lrlib.interactive.playground.course import float64 as in_float64
from lrlib.interactive.playground.figure import ENGINE, FOLDER

MODULES = ENGINE[:-1]  # all but the worker's answers
# Typed arrays become lists; a number comes back as it is, for JSON's digits are enough to tell float64s apart.
CALL = """(given) => {
    const plain = (value) => ArrayBuffer.isView(value) || Array.isArray(value) ? Array.from(value, plain)
        : value instanceof Object ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]))
        : value;
    return plain(((given) => { %s })(given));
}"""


def sendable(value):
    """numpy's and torch's numbers as Python's, at any depth."""
    if isinstance(value, dict):
        return {name: sendable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [sendable(part) for part in value]
    return np.asarray(value).tolist() if hasattr(value, "tolist") else value


class Engine:
    """Runs the body of a JavaScript function of ``given``, and returns what that returns."""

    def __init__(self, page):
        self.page = page

    def __call__(self, body, **given):
        return self.page.evaluate(CALL % body, sendable(given))


@pytest.fixture(scope="session")
def engine(browser):
    context = browser.new_context()
    requests, errors = [], []
    context.route("**/*", lambda route: (requests.append(route.request.url), route.abort()))
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_script_tag(content=linked(FOLDER / "engine" / f"{name}.js" for name in MODULES))
    yield Engine(page)
    context.close()
    assert requests == []
    assert errors == []


@pytest.fixture
def float64():
    """Torch draws in float64, as the engine does."""
    with in_float64():
        yield
