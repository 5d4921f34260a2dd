"""The base of every figure: its three outputs, the page's stand-in for the model, and the shared JavaScript."""

import base64
import gc
import io
import json

import numpy as np
import pytest
import traitlets
from ipywidgets.widgets import widget as ipywidget
from PIL import Image

from lrlib.interactive import base

JAVASCRIPT = """
async function render({ model, el }) {
  const numbers = await unpack(model, "numbers", Uint16Array);
  const life = new AbortController();
  const root = make("div", { class: "lr-figure", id: freeId(model.get("label")), "data-figure": "Probe" });
  const draw = () => (root.textContent = `${model.get("title")} ${model.get("place")} ${numbers}`);
  const move = (place) => { model.set("place", place); model.save_changes(); };
  const control = slider({ control: "place", caption: "Place", move, signal: life.signal });
  control.show(model.get("place"), 10, "text");
  model.on("change:place", draw);
  draw();
  el.append(root, control.node);
  root.dataset.ready = "true";
  return () => { model.off("change:place", draw); life.abort(); root.remove(); };
}
export default { render };
"""


@pytest.fixture(scope="module")
def Probe(tmp_path_factory):
    """A figure that shows a title, a place that can be moved, and an array."""
    path = tmp_path_factory.mktemp("probe") / "probe.js"
    path.write_text(JAVASCRIPT, "utf-8")

    class Probe(base.Figure):
        javascript = path
        place = traitlets.Int(3).tag(sync=True)
        numbers = traitlets.Bytes(base.packed([1, 500, 65535], "<u2")).tag(sync=True)

        def alt_text(self):
            return 'A probe with a "place".'

        def draw_still(self, canvas):
            canvas.subplots().plot([0, self.place])

    return Probe


@pytest.fixture
def output(monkeypatch):
    return lambda name: monkeypatch.setenv("LRLIB_OUTPUT", name)


@pytest.fixture
def no_comms(monkeypatch):
    """Opening a comm fails; widgets that other tests left behind close theirs first."""
    gc.collect()

    def refuse(*args, **kwargs):
        raise AssertionError("a comm was opened")

    monkeypatch.setattr(ipywidget.comm, "create_comm", refuse)


def test_live_output_is_a_widget(Probe, output):
    output("live")
    figure = Probe(label="probe", title="T")
    data, _ = figure._repr_mimebundle_()
    assert figure.comm is not None
    assert set(data) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    assert data["text/plain"] == repr(figure) == 'A probe with a "place".'
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == figure.comm.comm_id


def test_page_output_is_html_with_a_still_and_no_comm(Probe, output, no_comms):
    output("page")
    figure = Probe(label="probe", title="T")
    data, metadata = figure._repr_mimebundle_()
    assert figure.comm is None
    assert set(data) == {"text/plain", "text/html", "image/png"}
    assert data["text/plain"] == figure.alt
    assert data["image/png"] in data["text/html"]
    assert "A probe with a &quot;place&quot;." in data["text/html"]
    assert metadata["image/png"]["alt"] == figure.alt


def test_still_output_is_a_png_and_no_comm(Probe, output, no_comms):
    output("still")
    data, metadata = Probe(label="probe", title="T")._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png"}
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert metadata["image/png"]["width"] == round(image.width * 100 / base.STILL_DPI)


def test_the_output_is_decided_when_the_figure_is_made(Probe, output, no_comms):
    output("page")
    figure = Probe(label="probe", title="T")
    output("live")
    assert "text/html" in figure._repr_mimebundle_()[0]


def test_html_is_the_same_every_time_and_follows_the_settings(Probe, output):
    output("page")
    first, second = Probe(label="probe", title="T"), Probe(label="probe", title="T")
    assert first.page() == second.page()
    second.place = 4
    assert first.page() != second.page()
    assert first.still() != second.still()


def test_the_page_holds_the_figure_and_nothing_of_the_widget_protocol(Probe, output):
    output("page")
    state = Probe(label="probe", title="T").page_state()
    assert state["values"] == {"alt": 'A probe with a "place".', "label": "probe", "place": 3, "title": "T"}
    assert list(state["arrays"]) == ["numbers"]


@pytest.mark.parametrize(
    "text", ["</script><b>", "<!-- <script>", "]]>&amp;", "a\u2028b\u2029c", "σ é \U0001f600"]
)
def test_json_in_a_script_is_inert_and_reads_back(text):
    safe = base.script_json({"title": text})
    assert not set("<>&\u2028\u2029") & set(safe)
    assert json.loads(safe)["title"] == text


def test_json_refuses_what_json_has_no_word_for():
    with pytest.raises(ValueError, match="JSON"):
        base.script_json(float("nan"))


@pytest.mark.parametrize("code", ["'</script>'", "'<!-- '", "'</SCRIPT'"])
def test_code_that_would_end_its_own_tag_is_refused(Probe, output, tmp_path, code):
    output("page")
    path = tmp_path / "bad.js"
    path.write_text(f"const text = {code};\n{JAVASCRIPT}", "utf-8")

    class Bad(Probe):
        javascript = path

    with pytest.raises(ValueError, match=r"bad\.js: </script, </style or <!-- in it"):
        Bad(label="bad", title="T").page()


def test_a_figure_in_several_files_is_one_module_in_their_order(Probe, tmp_path):
    parts = [tmp_path / name for name in ("first.js", "second.js")]
    for part in parts:
        part.write_text(f"// {part.name}\n", "utf-8")

    class InParts(Probe):
        javascript = Probe.javascript
        more_javascript = tuple(parts)

    assert (
        InParts._esm == (base.HERE / "kit.js").read_text("utf-8") + "// first.js\n// second.js\n" + JAVASCRIPT
    )


def test_only_unsigned_numbers_are_packed():
    with pytest.raises(ValueError, match=r"dtype='<f4': must be one of '<u2', '<u4'"):
        base.packed([0.5], "<f4")


@pytest.mark.parametrize("label", ["", "Probe", "a b", 'a"b', "1a", None])
def test_a_label_must_be_an_id(Probe, label):
    with pytest.raises(ValueError, match=r"label=.*must be lower-case letters, digits and hyphens"):
        Probe(label=label, title="T")


@pytest.mark.parametrize("title", ["", "  ", None])
def test_a_title_must_say_something(Probe, title):
    with pytest.raises(ValueError, match=r"title=.*must be a string that is not empty"):
        Probe(label="probe", title=title)


def test_a_subclass_says_what_it_lacks(Probe, output):
    output("still")

    class Half(base.Figure):
        javascript = Probe.javascript

    with pytest.raises(NotImplementedError, match="Half must define alt_text"):
        _ = Half(label="half", title="T").alt
    with pytest.raises(NotImplementedError, match="Half must define draw_still"):
        Half(label="half", title="T").still()


def test_drawing_a_still_leaves_pyplot_alone(Probe, output):
    import matplotlib.pyplot as plt

    output("still")
    before = plt.get_fignums(), dict(plt.rcParams)
    Probe(label="probe", title="T").still()
    assert (plt.get_fignums(), dict(plt.rcParams)) == before


@pytest.mark.browser
def test_two_figures_with_one_label_are_drawn_apart(Probe, output, show):
    output("page")
    one, two = Probe(label="probe", title="one"), Probe(label="probe", title="two</script><b>x</b>", place=7)
    page = show(one.page() + two.page(), ready=2)
    figures = page.locator(".lr-figure")
    assert figures.all_text_contents() == ["one 3 1,500,65535", "two</script><b>x</b> 7 1,500,65535"]
    assert [figures.nth(i).get_attribute("id") for i in (0, 1)] == ["probe", "probe-2"]
    assert page.locator("b").count() == 0
    page.locator("[data-control=place]").nth(1).press("ArrowRight")
    assert figures.all_text_contents()[0] == "one 3 1,500,65535"
    assert figures.all_text_contents()[1].startswith("two</script><b>x</b> 8")


@pytest.mark.browser
def test_the_still_is_shown_without_javascript(Probe, output, show):
    output("page")
    page = show.browser.new_context(java_script_enabled=False).new_page()
    page.set_content(Probe(label="probe", title="T").page())
    assert page.locator("img.lr-still").is_visible()
    page.context.close()


@pytest.mark.browser
def test_the_still_is_shown_where_drawing_fails(Probe, output, show):
    output("page")
    figure = Probe(label="probe", title="T", numbers=b"not deflated")
    page = show(figure.page(), ready=0)
    page.locator("img.lr-still").wait_for(state="visible")
    assert page.locator(".lr-figure").count() == 0
    assert len(show.errors) == 1
    show.errors.clear()


@pytest.mark.browser
def test_cleaning_up_removes_the_figure_and_its_listeners(Probe, output, show):
    output("page")
    page = show(Probe(label="probe", title="T").page())
    left = page.evaluate("""() => {
        const mount = document.querySelector(".lr-mount");
        mount.lrCleanup();
        mount.lrModel.set("place", 9);
        return [document.querySelectorAll(".lr-figure").length, mount.lrModel.listeners.get("change:place").size];
    }""")
    assert left == [0, 0]


@pytest.fixture(scope="module")
def blank(browser):
    """An empty page, one for all tests of the shared parts."""
    page = browser.new_page()
    yield page
    page.close()


@pytest.mark.browser
def test_the_stand_in_behaves_like_a_model(blank):
    code = (base.HERE / "page.js").read_text("utf-8")
    heard = blank.evaluate(
        """async (code) => {
        const PageModel = new Function(`${code}; return PageModel`)();
        const model = new PageModel({ values: { step: 1, same: 5 }, arrays: { data: btoa("ab") } });
        const heard = [];
        const listen = (m, value) => heard.push(["step", value, m === model]);
        model.on("change:step", listen);
        model.on("change:step", listen); // the same one twice is one
        model.on("change", () => heard.push(["any"]));
        model.on("change:other", () => heard.push(["never"]));
        model.set("step", 2);
        model.set("step", 2); // no change, no event
        heard.push(["saved", model.save_changes() === undefined, model.get("step"), model.get("nothing") === undefined]);
        model.off("change:step", listen);
        model.set("step", 3);
        model.off("change");
        model.set("step", 4);
        model.on("change:step", listen);
        model.off();
        model.set("step", 5);
        model.off("never-listened", listen);
        const data = model.get("data");
        heard.push([data instanceof DataView, data.getUint8(0), data.byteLength]);
        return heard;
    }""",
        code,
    )
    assert heard == [["step", 2, True], ["any"], ["saved", True, 2, True], ["any"], [True, 97, 2]]


def kit(page, expression, argument=None):
    """Evaluate an async JavaScript expression with the shared parts in scope."""
    code = (base.HERE / "kit.js").read_text("utf-8")
    return page.evaluate(
        "([code, expression, argument]) => new Function('argument', `${code}; return (async () => ${expression})()`)(argument)",
        [code, expression, argument],
    )


@pytest.mark.browser
@pytest.mark.parametrize(
    "wrap",
    [
        "new DataView(bytes.buffer)",
        "bytes.buffer",
        "bytes",
        "(() => { const wide = new Uint8Array(bytes.length + 3); wide.set(bytes, 3); return new DataView(wide.buffer, 3); })()",
    ],
    ids=["DataView", "ArrayBuffer", "Uint8Array", "unaligned DataView"],
)
def test_arrays_are_unpacked_however_they_arrive(blank, wrap):
    values = [0, 1, 2**32 - 1, 77]
    packed = base.packed(np.array(values), "<u4")
    got = kit(
        blank,
        f"{{ const bytes = new Uint8Array(argument); return [...(await unpack({{ get: () => {wrap} }}, 'x', Uint32Array))]; }}",
        list(packed),
    )
    assert got == values


@pytest.mark.browser
@pytest.mark.parametrize(
    ("key", "moved"),
    [
        ({"key": "ArrowRight"}, 51),
        ({"key": "ArrowUp"}, 51),
        ({"key": "ArrowLeft"}, 49),
        ({"key": "ArrowDown"}, 49),
        ({"key": "ArrowLeft", "shiftKey": True}, 40),
        ({"key": "PageUp"}, 60),
        ({"key": "PageDown"}, 40),
        ({"key": "Home"}, 0),
        ({"key": "End"}, 99),
        ({"key": "a"}, None),
        ({"key": "ArrowLeft", "altKey": True}, None),  # the browser's way back
    ],
)
def test_keys_move_a_slider(blank, key, moved):
    assert kit(blank, "moveByKey(argument, 50, 100)", key) == moved


@pytest.mark.browser
def test_a_key_stops_at_the_ends_of_a_slider(blank):
    assert kit(blank, "[moveByKey({ key: 'PageUp' }, 98, 100), moveByKey({ key: 'ArrowLeft' }, 0, 100)]") == [
        99,
        0,
    ]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("positions", "placed"),
    [
        ([10, 50, 90], [10, 50, 90]),
        ([50, 50, 50], [50, 60, 70]),
        ([99, 98], [100, 90]),
        ([0, -5], [10, 0]),
        ([5], [5]),
    ],
)
def test_labels_are_spread_apart(blank, positions, placed):
    assert kit(blank, "spread(argument, 10, 0, 100)", positions) == placed


@pytest.mark.browser
def test_a_step_axis_gives_step_zero_a_place_of_its_own(blank):
    axis = kit(blank, "stepAxis([0, 1, 10, 100], 0, 300)")
    assert axis["places"] == pytest.approx([0, 44, 172, 300])
    assert [text for _, text in axis["ticks"]] == ["0", "1", "10", "100"]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("steps", "ticks"),
    [
        ([0], ["0"]),
        ([7], ["7"]),
        ([0, 7], ["0", "7"]),
        ([3, 5], ["3"]),
        ([1, 2000], ["1", "10", "100", "1000"]),
    ],
)
def test_a_step_axis_has_a_tick_whatever_the_steps(blank, steps, ticks):
    axis = kit(blank, "stepAxis(argument, 0, 300)", steps)
    assert [text for _, text in axis["ticks"]] == ticks
    assert all(0 <= place <= 300 for place in axis["places"])


@pytest.mark.browser
@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["layer1", "output"], ["layer1", "output"]),
        (["encoder.first", "decoder.first"], ["encoder.f…", "decoder.f…"]),
        (["convolution.0", "convolution.1"], ["#1", "#2"]),
    ],
)
def test_names_are_shortened_only_as_far_as_they_differ(blank, names, short):
    assert kit(blank, "shortNames(argument, 10)", names) == short
