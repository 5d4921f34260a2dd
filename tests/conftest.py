"""Fixtures that the whole test suite shares: a real browser, or a clear word on why there is none."""

import os
import shutil

import pytest

# --doctest-modules would import each conftest.py once more, as one module named "conftest"
collect_ignore_glob = ["conftest.py", "*/conftest.py"]

BROWSER_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def no_browser(reason: str) -> None:
    """Skip the test that asks, or fail it where a browser is required (``LRLIB_REQUIRE_BROWSER=1``, as in CI)."""
    message = f"{reason}: apt install chromium or set LRLIB_CHROMIUM to its path"
    if os.environ.get("LRLIB_REQUIRE_BROWSER") == "1":
        pytest.fail(f"LRLIB_REQUIRE_BROWSER=1, but {message}", pytrace=False)
    pytest.skip(message)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of a Chromium: ``LRLIB_CHROMIUM`` if set, else the first one on ``PATH``."""
    wanted = os.environ.get("LRLIB_CHROMIUM")
    if wanted:
        found = shutil.which(wanted)
        if found is None:
            no_browser(f"LRLIB_CHROMIUM={wanted!r} is not a program")
        return found
    found = next(filter(None, map(shutil.which, BROWSER_NAMES)), None)
    if found is None:
        no_browser("no Chromium found on PATH")
    return found


@pytest.fixture(scope="session")
def browser(chromium_path):
    """A headless Chromium, driven by playwright and shared by all browser tests: open one context per test."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        no_browser("playwright is not installed (pip install playwright)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=list(BROWSER_ARGS))
        yield chromium
        chromium.close()
