"""InformationPlane in a real browser: what it draws and says is what pandas makes of the table."""

import numpy as np
import pytest
from plane_examples import NOISES, TASKS, THRESHOLDS, chosen, made_up_table, network_value, odd_tables
from plane_page import BOX, NATS, PIXEL, RANK, axis, get, now, number, path, set_to, table_rows

from lrlib.interactive import InformationPlane
from lrlib.interactive.information_page import noise_text, rank_text, settled, vertical_text

pytestmark = pytest.mark.browser

READINGS = {"kde": ("kde lower", "kde upper"), "logdet": ("logdet", None), "binning": ("binning", None), "exact": ("exact", None)}  # fmt: skip


@pytest.fixture(scope="module")
def table():
    return made_up_table()


def seeds_of(table, *, layer, reading, noise=None, eps=None, **where):
    """One number a seed, of the rows that these settings choose."""
    rows = chosen(table, reading=reading, noise=noise, **where)
    rows = rows[rows["layer"].isin([layer, layer.replace("L", "H")])]
    return (rows if eps is None else rows[rows["eps"] == eps]).set_index("seed")


def assert_numbers(texts, values, half):
    """A cell holds the mean of these numbers and, of several, the lowest and the highest."""
    assert number(texts[0]) == pytest.approx(values.mean(), abs=half + 1e-9)
    if len(values) == 1:
        assert len(texts) == 1
        return
    ends = [number(text) for text in texts[1].split("–")]
    assert ends == pytest.approx([values.min(), values.max()], abs=half + 1e-9)


# --- the numbers in the table and the words ------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["teacher", "sphere"])
@pytest.mark.parametrize("estimator", ["kde", "logdet", "binning", "exact"])
def test_the_table_has_the_numbers_of_every_run_and_step(show, table, task, estimator):
    if task == "teacher" and estimator == "exact":
        task = "sphere"  # the other noise of it, then
    about = TASKS[task]
    page = show(InformationPlane(table, task=task, estimator=estimator, noise="layer").page())
    noise = "layer" if estimator in ("kde", "logdet") else None
    scale = get(page, "scale") if noise else None
    for variant, seeds in about["variants"].items():
        for seed, step in (
            ("mean", about["steps"][0]),
            ("mean", about["steps"][-2]),
            (seeds[1], about["steps"][-1]),
        ):
            set_to(page, variant=variant, seed=seed, step=step)
            mine = chosen(table, task=task, variant=variant, step=step)
            mine = mine if seed == "mean" else chosen(mine, seed=seed)
            shown = table_rows(page)
            assert list(shown) == [f"L{l}" for l in range(1, about["depth"] + 1)]
            words = page.locator("[data-output]").text_content()
            which = f"seed {seed}" if seed != "mean" else f"mean over {len(seeds)} seeds"
            assert words.startswith(f"{task}, {variant}, {which}, step {step}:")
            for layer, cells in shown.items():
                lower, upper = READINGS[estimator]
                rows = seeds_of(mine, layer=layer, reading=lower, noise=noise, eps=scale)
                assert_numbers(cells["information"], rows["mean"], NATS)
                assert ("upper" in cells) == (upper is not None)
                if upper:
                    assert_numbers(cells["upper"], seeds_of(mine, layer=layer, reading=upper, noise=noise, eps=scale)["mean"], NATS)  # fmt: skip
                full = (rows["mean"] >= 0.95 * rows["cap"]).sum()
                expected = f"{full} of {len(rows)}" if len(rows) > 1 else "yes" if full else "no"
                assert cells["saturated"] == ["–" if estimator == "logdet" else expected]
                assert cells["cap"] == ["–" if estimator == "logdet" else f"{rows['cap'].iloc[0]:.3f}"]
                assert_numbers(
                    cells["rank"], seeds_of(mine, layer=layer, reading="absolute", eps=0.1)["mean"], RANK
                )
                assert ("vertical" in cells) == (task == "sphere")
                if task == "sphere":
                    assert_numbers(
                        cells["vertical"], seeds_of(mine, layer=layer, reading="binning label")["mean"], NATS
                    )
                assert f"{layer} {cells['information'][0]}" in words
                assert f"rank {cells['rank'][0]}" in words
            caption = page.locator(".lr-plane-table caption").text_content()
            for name in about["network"]:
                values = [network_value(name, s, step) for s in (seeds if seed == "mean" else [seed])]
                assert f"{name.replace('_', ' ')} {float(f'{np.mean(values):.4g}'):g}" in caption


def test_every_reading_of_rank_has_its_numbers(show, table):
    page = show(InformationPlane(table, seed=1, variant="no decay", step=100).page())
    mine = chosen(table, task="teacher", variant="no decay", seed=1, step=100)
    thresholds = [(name, eps) for name, grid in THRESHOLDS.items() for eps in grid]
    for reading, eps in [*thresholds, ("effective", None), ("stable", None)]:
        set_to(page, reading=reading, **({"eps": eps} if eps else {}))
        for layer, cells in table_rows(page).items():
            assert_numbers(cells["rank"], seeds_of(mine, layer=layer, reading=reading, eps=eps)["mean"], RANK)
        title = page.locator("[data-plot=rank] [data-title=across]").text_content()
        sign = " σ₁" if reading == "relative" else ""
        assert title == (f"{reading}, σ > {eps:g}{sign}" if eps else f"{reading} rank")


# --- the planes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("step", [0, 100, 8000])
def test_paths_points_bars_and_boxes_are_where_the_numbers_are(show, table, noise, step):
    page = show(InformationPlane(table, noise=noise, step=step, scale=1.0).page())
    mine = chosen(table, task="teacher", variant="weight decay")
    losses = np.array([np.mean([network_value("test_loss", s, t) for s in (0, 1, 2)]) for t in TASKS["teacher"]["steps"]])  # fmt: skip
    to_nats, nats = axis(page, "information", "across")
    to_loss, decades = axis(page, "information", "up", logarithmic=True)
    to_rank, ranks = axis(page, "rank", "across")
    up_nats, up = axis(page, "rank", "up")
    left, right = now(page, "information"), now(page, "rank")
    assert list(left) == list(right) == ["L1", "L2", "L3"]
    steps = list(TASKS["teacher"]["steps"])
    for layer in left:
        of = {
            name: seeds_of(mine, layer=layer, reading=reading, noise=own, eps=eps)
            for name, reading, own, eps in (("lower", "kde lower", noise, 1.0), ("upper", "kde upper", noise, 1.0), ("rank", "absolute", None, 0.1))
        }  # fmt: skip
        means = {name: rows.groupby("step")["mean"].mean() for name, rows in of.items()}
        for plot, across, upward, first, second in (("information", to_nats, to_loss, means["lower"], losses), ("rank", to_rank, up_nats, means["rank"], means["lower"])):  # fmt: skip
            points = path(page, plot, layer)
            assert [t for _, _, t, _ in points] == steps
            x, y = (np.array([point[i] for point in points]) for i in (0, 1))
            np.testing.assert_allclose(across(x), first, atol=PIXEL * max(nats, ranks) + RANK)
            if plot == "information":
                np.testing.assert_allclose(np.log10(upward(y)), np.log10(second), atol=PIXEL * decades + 1e-4)
            else:
                np.testing.assert_allclose(upward(y), second, atol=PIXEL * up + NATS)
            full = (of["lower"]["mean"] >= 0.95 * of["lower"]["cap"]).groupby(of["lower"]["step"]).sum()
            assert [hollow for *_, hollow in points] == (full > 0).tolist()
        here = {name: rows[rows["step"] == step]["mean"] for name, rows in of.items()}
        ends = [means["lower"][step], means["upper"][step]]
        x, _, hollow, bar, box = left[layer]
        assert to_nats(np.array([bar[0], bar[2]])) == pytest.approx(ends, abs=PIXEL * nats + NATS)
        assert bar[0] == x
        assert bar[1] == bar[3]  # it is level
        assert hollow == (full[step] > 0)
        reach = [here["lower"].min(), here["upper"].max()]
        assert to_nats(np.array([box[0], box[0] + box[2]])) == pytest.approx(reach, abs=BOX * nats + NATS)
        *_, bar, box = right[layer]
        assert up_nats(np.array([bar[1], bar[3]])) == pytest.approx(ends, abs=PIXEL * up + NATS)
        wide = [here["rank"].min(), here["rank"].max()]
        assert to_rank(np.array([box[0], box[0] + box[2]])) == pytest.approx(wide, abs=BOX * ranks + RANK)
        assert up_nats(np.array([box[1] + box[3], box[1]])) == pytest.approx(reach, abs=BOX * up + NATS)


def test_the_height_may_be_the_labels_information_or_an_accuracy(show, table):
    page = show(InformationPlane(table, task="sphere", variant="tanh", seed=3, step=500).page())
    to_height, unit = axis(page, "information", "up")
    mine = chosen(table, task="sphere", variant="tanh", seed=3, step=500)
    for layer, (_, y, *_) in now(page, "information").items():
        label = seeds_of(mine, layer=layer, reading="binning label")["mean"].item()
        assert to_height(y) == pytest.approx(label, abs=PIXEL * unit + NATS)
    assert page.locator("[data-plot=information] [data-title=up]").text_content() == "binned I(T;Y), nats"
    set_to(page, vertical="test_accuracy")
    to_height, unit = axis(page, "information", "up")
    assert {round(y, 1) for _, y, *_ in now(page, "information").values()} != set()
    for _, y, *_ in now(page, "information").values():
        assert to_height(y) == pytest.approx(network_value("test_accuracy", 3, 500), abs=PIXEL * unit + 1e-4)
    assert page.locator("[data-plot=information] [data-title=up]").text_content() == "test accuracy"
    bars = [bar[1] for *_, bar, _ in now(page, "information").values()]
    assert len(set(bars)) == 6  # beside one another, where the points have one height


def test_one_seed_has_no_box_and_an_estimate_no_bar(show, table):
    page = show(InformationPlane(table, task="sphere", seed=5, estimator="binning").page())
    for plot in ("information", "rank"):
        assert {(bar, box) for *_, bar, box in now(page, plot).values()} == {(None, None)}
    note = page.locator("[data-note]").text_content()
    assert "bar" not in note
    assert "box" not in note
    assert "Information is of the activations h (H1 to H6), rank of the pre-activations p (L1 to L6)." in note
    set_to(page, task="teacher", variant="no decay", estimator="kde", seed="mean")
    note = page.locator("[data-note]").text_content()
    assert "bar: from the lower to the upper bound; pale box: lowest to highest seed" in note
    assert "activations" not in note


def test_caps_are_dashed_lines_with_their_names(show, table):
    page = show(InformationPlane(table, task="sphere", estimator="binning").page())
    for plot, way in (("information", "across"), ("rank", "up")):
        to_nats, unit = axis(page, plot, way)
        caps = page.locator(f"[data-plot={plot}] [data-cap]").evaluate_all(
            "all => all.map((e) => [Number(e.dataset.cap), ...e.getAttribute('d').match(/-?[\\d.]+/g).map(Number), getComputedStyle(e).strokeDasharray])"
        )
        own = [cap for cap in caps if cap[0] > 1]
        assert [cap[0] for cap in own] == pytest.approx([2 * np.log(30), np.log(4096)])
        for value, x1, y1, x2, y2, dashes in own:
            at = (x1, x2) if way == "across" else (y1, y2)
            assert to_nats(np.array(at)) == pytest.approx([value] * 2, abs=PIXEL * unit)
            assert dashes != "none"
        texts = page.locator(f"[data-plot={plot}] text").all_text_contents()
        assert {"cap ln 900 = 6.802", "cap ln 4,096 = 8.318"} <= set(texts)
        assert ("cap 0.693" in texts) == (plot == "information")
    set_to(page, task="teacher", variant="no decay", estimator="logdet", step=8000)
    assert page.locator("[data-plot] [data-cap]").count() == 0
    assert "cap" not in page.locator("[data-note]").text_content()


def test_a_cap_far_above_everything_is_named_below(show, table):
    low = table.assign(
        mean=table["mean"].where(~table["reading"].str.startswith("kde"), 0.01 * table["mean"])
    )
    page = show(InformationPlane(low).page())
    assert page.locator("[data-plot] [data-cap]").count() == 0
    assert "Beyond the axis: the cap ln 2,000 = 7.601." in page.locator("[data-note]").text_content()
    assert (
        axis(page, "information", "across")[0](
            page.locator("[data-plot=information]").bounding_box()["width"]
        )
        < 0.2
    )


def test_what_is_still_to_come_is_pale(show, table):
    page = show(InformationPlane(table, step=100).page())
    lines = page.locator("[data-plot=rank] [data-path=L2] .lr-line").evaluate_all(
        "all => all.map((e) => [e.getAttribute('d').split('L').length, Number(e.getAttribute('opacity') ?? 1)])"
    )
    assert lines == [[3, 0.4], [3, 1]]  # steps 100 to 8000, and 0 to 100
    dots = page.locator("[data-plot=rank] [data-path=L2] [data-step]").evaluate_all(
        "all => all.map((e) => [e.tagName, Number(e.getAttribute('opacity') ?? 1)])"
    )
    assert dots == [["rect", 1], ["circle", 1], ["circle", 1], ["circle", 0.45], ["circle", 0.45]]


# --- what is not there ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", odd_tables())
@pytest.mark.parametrize("width", [358, 1280])
def test_odd_tables_are_drawn(show, odd, width):
    page = show(InformationPlane(odd_tables()[odd]).page(), width=width)
    for task in get(page, "facts")["tasks"]:
        for estimator in {option["estimator"] for option in task["options"]}:
            for step in task["steps"]:
                set_to(page, task=task["name"], estimator=estimator, step=step)
                text = page.locator(".lr-figure").inner_html()
                assert not any(word in text for word in ("NaN", "Infinity", "undefined", "null"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_what_is_not_stored_has_no_point_and_a_dash(show):
    tables = odd_tables()
    page = show(InformationPlane(tables["gaps"], variant="no decay", step=1000).page())
    assert list(now(page, "information")) == ["L1", "L3"]
    assert [t for _, _, t, _ in path(page, "rank", "L2")] == [0, 10, 100, 8000]
    assert table_rows(page)["L2"] == {
        "information": ["–"],
        "upper": ["–"],
        "cap": ["7.601"],
        "saturated": ["–"],
        "rank": ["–"],
    }
    assert "L2 – to" not in page.locator("[data-output]").text_content()
    page = show(InformationPlane(tables["no network"]).page())
    assert page.locator("[data-plot=information] [data-empty]").text_content() == "not stored"
    assert len(now(page, "rank")) == 3
    page = show(InformationPlane(tables["no upper bound"]).page())
    assert {bar for *_, bar, _ in now(page, "rank").values()} == {None}
    assert "upper" not in table_rows(page)["L1"]


def test_negative_numbers_have_their_sign_and_a_zero_has_none(show):
    table = odd_tables()["negative"]
    page = show(InformationPlane(table, task="sphere", estimator="binning").page())
    assert table_rows(page)["L2"]["information"] == ["−0.020", "−0.020 to −0.020"]
    to_nats, unit = axis(page, "rank", "up")
    for _, y, *_ in now(page, "rank").values():
        assert to_nats(y) == pytest.approx(-0.02, abs=PIXEL * unit)
    tiny = table.assign(mean=table["mean"].where(table["reading"] != "binning", -1e-5))
    page = show(InformationPlane(tiny, task="sphere", estimator="binning", seed=5).page())
    assert table_rows(page)["L2"]["information"] == ["0.000"]


def test_names_are_text(show, table):
    evil = "</script><img src=x onerror=alert(1)> & \"b\" 'c'"
    changed = table.replace({"task": {"sphere": evil}, "variant": {"relu": evil}})
    changed["layer"] = changed["layer"].replace({"H2": evil, "L2": evil})
    page = show(InformationPlane(changed, task=evil, variant=evil, title=evil).page())
    assert page.locator(".lr-title").text_content() == evil
    assert evil in table_rows(page)
    assert page.locator("[data-output]").text_content().startswith(f"{evil}, {evil}, mean over 2 seeds")
    assert page.locator(".lr-figure img").count() == 0


# --- settings that are not stored together -------------------------------------------------------------------------


def test_the_page_settles_settings_as_python_does(show, table):
    """Settings that do not go together: what the page shows of them is what Python makes of them."""
    figure = InformationPlane(table)
    page = show(figure.page())
    g = np.random.default_rng(0)
    values = {
        "task": ["teacher", "sphere"],
        "variant": ["no decay", "weight decay", "tanh", "relu"],
        "seed": ["mean", 0, 1, 2, 3, 5],
        "estimator": ["kde", "logdet", "binning", "exact"],
        "noise": ["fixed", "layer"],
        "scale": [0.1, 0.3, 1.0, 0.5],
        "reading": ["absolute", "relative", "stable"],
        "eps": [0.01, 0.1, 1.0],
        "vertical": ["test_loss", "test_accuracy", "binning label"],
        "step": [0, 10, 50, 100, 500, 1000, 5000, 8000],
    }
    for _ in range(25):
        wanted = {name: own[g.integers(len(own))] for name, own in values.items()}
        set_to(page, **wanted)
        found = settled(figure.tasks, wanted)
        runs = next(own for own in figure.tasks if own.name == found["task"])
        v, seeds = runs.variants.index(found["variant"]), TASKS[found["task"]]["variants"][found["variant"]]
        options = [o for o in runs.options if o.estimator == found["estimator"]]
        option = next(
            (o for o in options if (o.noise, o.scale) == (found["noise"], found["scale"])), options[0]
        )
        threshold = found["eps"] if found["reading"] != "stable" else None
        expected = {
            "task": found["task"],
            "variant": runs.variants[v],
            "seed": f"mean over {len(seeds)} seeds" if found["seed"] == "mean" else f"seed {found['seed']}",
            "vertical": vertical_text(found["vertical"]),
            "reading": rank_text(found["reading"], threshold),
        } | ({"noise": noise_text(option)} if option.noise else {})
        shown = {
            name: page.locator(f"[data-control={name}] option:checked").text_content() for name in expected
        }
        assert shown == expected, wanted
        assert page.locator("[data-control=step]").get_attribute("aria-valuetext") == str(found["step"])
        assert page.locator("[data-control=noise]").is_visible() == bool(option.noise)
