"""What the tests of InformationPlane read in a page."""

import numpy as np

MODEL = "document.querySelector('.lr-mount').lrModel"
PIXEL = 0.11  # points and ticks are placed in tenths of a pixel
BOX = 1.2  # a box that is thinner is drawn one pixel wide
NATS, RANK = 0.0005, 0.005  # half of the last digit that is sent: the most by which a number may be off


def get(page, name):
    return page.evaluate(f"{MODEL}.get('{name}')")


def set_to(page, **values):
    page.evaluate(f"values => Object.entries(values).forEach(([n, v]) => {MODEL}.set(n, v))", values)


def number(text):
    return float(text.replace("−", "-"))


def table_rows(page):
    """The texts of the table's cells, by layer and column: the number, and the seeds' range if there is one."""
    return page.locator(".lr-plane-table tbody tr").evaluate_all("""rows => Object.fromEntries(rows.map((row) => [
        row.dataset.row, Object.fromEntries([...row.querySelectorAll("td")].map((td) =>
            [Object.keys(td.dataset)[0], [...td.querySelectorAll("span")].map((span) => span.textContent)]))
    ]))""")


def axis(page, plot, way, *, logarithmic=False):
    """The map from a pixel of a plot to the number there, read off its ticks, and the number of one pixel."""
    place = "Number(e.getAttribute('x'))" if way == "across" else "Number(e.getAttribute('y')) - 4"
    ticks = page.locator(f"[data-plot={plot}] [data-{way}-tick]").evaluate_all(
        f"all => all.map((e) => [Number(e.dataset.{way}Tick), {place}, e.textContent])"
    )
    assert len(ticks) >= 2
    assert all(number(text) == value or abs(number(text) - value) < 1e-9 for value, _, text in ticks)
    values = np.array([value for value, _, _ in ticks])
    fitted = np.log10(values) if logarithmic else values
    line = np.polynomial.Polynomial.fit([at for _, at, _ in ticks], fitted, 1)
    to_number = (lambda at: 10 ** line(at)) if logarithmic else line
    return to_number, abs(line(1) - line(0))


def now(page, plot):
    """Where every layer is now, by its name: (x, y, open, ends of the bar or None, the seeds' box or None)."""
    found = page.locator(f"[data-plot={plot}] [data-now]").evaluate_all("""all => all.map((e) => {
        const [dot, bar, box] = ["circle", ".lr-bounds", ".lr-seeds"].map((what) => e.querySelector(what));
        const numbers = (...names) => names.map((name) => Number(box.getAttribute(name)));
        return [e.dataset.now, Number(dot.getAttribute("cx")), Number(dot.getAttribute("cy")), dot.classList.contains("lr-open"),
            bar && bar.getAttribute("d").match(/-?[\\d.]+/g).map(Number), box && numbers("x", "y", "width", "height")];
    })""")
    return {name: tuple(rest) for name, *rest in found}


def path(page, plot, layer):
    """The points of a layer's path, in their order: (x, y, step, open)."""
    return page.locator(f"[data-plot={plot}] [data-path='{layer}'] [data-step]").evaluate_all("""all => all.map((e) => [
        Number(e.getAttribute("cx") ?? Number(e.getAttribute("x")) + 3.5), Number(e.getAttribute("cy") ?? Number(e.getAttribute("y")) + 3.5),
        Number(e.dataset.step), e.classList.contains("lr-open")])""")
