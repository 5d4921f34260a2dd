"""While a network of 32-32-32 trains, the page stays free: what it does in a frame is short, by the browser's own trace."""

import json

import pytest
from playground_page import figure_data, html_of, press, wait_settled

pytestmark = pytest.mark.browser

LONGEST = 100  # ms, of one task on the page's main thread
SECONDS = 4
CHANGES = {"data": "moons", "loss": "cross_entropy", "width": 32, "depth": 3, "steps": 100_000, "batch": 32}


def traced(browser, page, act):
    """The browser's trace of what happens in ``act``: a list of events."""
    session = browser.new_browser_cdp_session()
    events, done = [], []
    session.on("Tracing.dataCollected", lambda message: events.extend(message["value"]))
    session.on("Tracing.tracingComplete", lambda message: done.append(True))
    session.send(
        "Tracing.start",
        {"traceConfig": {"includedCategories": ["toplevel", "devtools.timeline", "blink.user_timing"]}},
    )
    act()
    session.send("Tracing.end")
    while not done:
        page.wait_for_timeout(50)
    session.detach()
    return events


@pytest.mark.parametrize("speed", ["10 steps a frame", "as fast as it goes"])
@pytest.mark.parametrize("changes", [CHANGES, {"steps": 100_000}], ids=["32-32-32 on 500 points", "the fall"])
def test_no_task_of_the_page_is_longer_than_100_ms(browser, show, changes, speed):
    page = show(html_of(changes))
    wait_settled(page)
    page.locator("[data-control=speed]").select_option(label=speed)

    def train():
        page.evaluate("performance.mark('training begins')")
        press(page, "start")
        page.wait_for_timeout(1000 * SECONDS)
        page.evaluate("performance.mark('training ends')")

    events = traced(browser, page, train)
    marks = {event["name"]: event for event in events if event["name"].startswith("training ")}
    begun, ended = marks["training begins"], marks["training ends"]
    main = [
        event
        for event in events
        if event.get("ph") == "X"
        and (event["pid"], event["tid"]) == (begun["pid"], begun["tid"])
        and begun["ts"] <= event["ts"] <= ended["ts"]
    ]
    assert int(figure_data(page, "step")) > 100
    frames = [event for event in main if event["name"] == "FireAnimationFrame"]
    assert len(frames) > 10 * SECONDS  # the trace sees the frames
    # The time that the thread itself used: how long it waited for a core says nothing of the page.
    longest = max(event.get("tdur", event["dur"]) for event in main) / 1000
    assert longest < LONGEST, json.dumps(max(main, key=lambda event: event.get("tdur", event["dur"])))


def test_the_trace_sees_a_long_task(browser, show):
    page = show(html_of(CHANGES))
    wait_settled(page)
    stall = "() => { const end = performance.now() + 300; while (performance.now() < end); }"

    def act():
        page.evaluate(f"() => {{ setTimeout({stall}, 100); }}")
        page.wait_for_timeout(800)

    events = [event for event in traced(browser, page, act) if event.get("ph") == "X"]
    assert max(event.get("tdur", event["dur"]) for event in events) / 1000 > LONGEST
