"""The playground in Python: its settings, what it refuses, its code, and the network it hands back."""

import json
import re

import numpy as np
import pytest
import torch
from playground_page import QUICK, settings_of

import lrlib
from lrlib.interactive import Playground
from lrlib.interactive.base import linked
from lrlib.interactive.playground import CHOICES, PRESETS, course
from lrlib.interactive.playground.settings import checked

FALL = PRESETS["fall"].settings


def test_it_starts_with_the_fall():
    figure = Playground()
    assert figure.settings == FALL
    assert (figure.preset, figure.reading, figure.eps) == ("fall", "absolute", 0.1)
    assert figure.step == 0


@pytest.mark.parametrize("key", list(PRESETS))
def test_a_preset_brings_its_settings(key):
    figure = Playground(preset=key)
    assert figure.settings == PRESETS[key].settings
    assert (
        Playground(preset=key, settings={"seed": 7}).preset == key
    )  # its sentence is for the reader to check
    assert Playground(preset=key, settings={"batch": 500}).preset == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 33}, r"width=33: must be one of \[4, 8"),
        ({"width": True}, "width=True: must be one of"),
        ({"lr": "0.1"}, "lr='0.1': must be one of"),
        ({"colour": 1}, r"settings: \[\] are missing and \['colour'\] unknown"),
        (
            {"data": "teacher", "loss": "mse", "inputs": 2, "rank": 3},
            "rank=3: must be at most the teacher's inputs=2",
        ),
        (
            {"data": "teacher", "loss": "cross_entropy"},
            "loss='cross_entropy': must be 'mse' with data='teacher'",
        ),
    ],
)
def test_settings_that_are_no_choice_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Playground(settings=changes)
    figure = Playground()
    with pytest.raises(ValueError, match=message):
        figure.settings = {**FALL, **changes}
    assert figure.settings == FALL


def test_other_arguments_are_checked():
    with pytest.raises(ValueError, match="preset='rise': must be one of"):
        Playground(preset="rise")
    with pytest.raises(ValueError, match="compact=2: must be one of"):
        Playground(compact=2)
    with pytest.raises(TypeError, match="settings=3: must be a dict"):
        checked(3)
    figure = Playground()
    for name, value in (("reading", "exact"), ("eps", 0.3), ("layer", 9), ("layer", 0), ("preset", "rise")):
        with pytest.raises(ValueError, match=f"{name}={value!r}: must be"):
            setattr(figure, name, value)


def test_settings_keep_their_kinds():
    """A browser sends 1 for 1.0."""
    sent = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in FALL.items()
    }
    found = checked(sent)
    assert found == FALL
    assert [type(value) for value in found.values()] == [type(value) for value in FALL.values()]


def test_a_preset_that_is_chosen_brings_its_settings_and_settings_their_preset():
    figure = Playground(settings={"seed": 7})
    for key, preset in PRESETS.items():
        figure.preset = key
        assert figure.settings == preset.settings | {"seed": 7}
        assert (figure.reading, figure.eps, figure.layer) == (preset.reading, preset.eps, preset.layer)
    figure.preset = "fall"
    figure.reading = "stable"
    figure.settings = FALL | {"decay": 0.0}
    assert figure.preset == "no-decay"
    assert figure.reading == "stable"  # the reader's
    figure.settings = FALL | {"decay": 0.1}
    assert figure.preset == ""


def test_fewer_layers_move_the_picture_to_one_that_is_there():
    figure = Playground(settings={"depth": 5})
    figure.layer = 6
    figure.settings = {**figure.settings, "depth": 1}
    assert figure.layer == 2


@pytest.mark.parametrize("data", CHOICES["data"])
@pytest.mark.parametrize("loss", CHOICES["loss"])
def test_its_code_is_python_that_trains_as_course_does(data, loss):
    if (data, loss) == ("teacher", "cross_entropy"):
        return
    settings = settings_of({**QUICK, "data": data, "loss": loss, "steps": 100, "momentum": 0.5, "seed": 5})
    figure = Playground(settings=settings)
    dtype = torch.get_default_dtype()
    names = {}
    try:
        exec(figure.code(), names)
    finally:
        torch.set_default_dtype(dtype)
    net, history = course.trained(settings)
    assert np.array_equal(names["history"].loss, history.loss)
    assert all(torch.equal(a, b) for a, b in zip(names["net"].parameters(), net.parameters(), strict=True))
    assert not re.search(r"\{\w+\}", figure.code()), "a blank that was not filled in"


def test_the_network_is_the_page_s_start_until_weights_arrive():
    figure = Playground(settings=QUICK)
    first = figure.network()
    with course.float64():
        generator = lrlib.runtime.generator(figure.settings["seed"])
        course.draw(figure.settings, generator)
        expected = course.start(figure.settings, generator)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), expected.parameters(), strict=True))
    trained, _ = course.trained(figure.settings)
    sent = torch.nn.utils.parameters_to_vector(trained.parameters()).detach().numpy().astype("<f8")
    figure.trained = memoryview(sent.tobytes())  # as a browser's bytes arrive
    found = figure.network()
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), trained.parameters(), strict=True))
    assert found.L1.weight.dtype == torch.float64


def test_weights_of_settings_before_are_forgotten():
    figure = Playground(settings=QUICK)
    figure.trained = np.zeros(sum(p.numel() for p in figure.network().parameters())).tobytes()
    figure.step = 100
    figure.settings = {**figure.settings, "width": 16}
    assert (figure.step, figure.trained) == (0, b"")
    assert figure.network().widths == (2, 16, 16, 2)


def test_the_engine_s_modules_are_linked_into_one_text():
    text = linked(Playground.worker_javascript)
    assert not re.search(r"^\s*(import|export)\b", text, re.MULTILINE)
    declared = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", text, re.MULTILINE)
    assert len(declared) > 40
    assert len(set(declared)) == len(declared)
    for (
        file
    ) in Playground.worker_javascript:  # each imports from files that stand before it, and what they export
        for names, source in re.findall(
            r'^import \{ (.*) \} from "\./(\w+)\.js";$', file.read_text("utf-8"), re.MULTILINE
        ):
            before = next(other for other in Playground.worker_javascript if other.stem == source)
            places = [Playground.worker_javascript.index(each) for each in (before, file)]
            assert places[0] < places[1]
            for name in names.split(", "):
                assert re.search(
                    rf"^export (function|class|const) {name}\b", before.read_text("utf-8"), re.MULTILINE
                )


def test_torch_s_default_dtype_is_left_as_it_was():
    figure = Playground(settings=QUICK)
    figure.network()
    course.trained({**figure.settings, "steps": 100})
    assert torch.get_default_dtype() == torch.float32
    with pytest.raises(RuntimeError, match="on purpose"), course.float64():
        raise RuntimeError("on purpose")
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("reading", ["absolute", "relative", "data-scaled", "effective", "stable"])
def test_the_still_shows_the_whole_course(reading):
    from matplotlib.figure import Figure as Canvas

    figure = Playground(settings={**QUICK, "depth": 3})
    figure.draw_still(Canvas())  # as it was; then it is changed
    figure.settings = {**figure.settings, "depth": 2}
    figure.reading = reading
    canvas = Canvas()
    figure.draw_still(canvas)
    (ax,) = canvas.axes
    curves = {line.get_label(): line for line in ax.get_lines()}
    assert list(curves) == ["L1", "L2", "L3"]
    for line in curves.values():
        assert line.get_xdata()[-1] == QUICK["steps"]
    net, _ = course.trained(figure.settings)
    with course.float64():
        x, _, x_test, _ = course.draw(figure.settings, lrlib.runtime.generator(figure.settings["seed"]))
    factor = lrlib.covariance_root(x) if reading == "data-scaled" else None
    last = lrlib.jacobian_spectra(net, x_test[:64], input_factor=factor).values
    rank = {"effective": lrlib.effective_rank, "stable": lrlib.stable_rank}
    count = rank.get(reading, lambda s: lrlib.count_above(s, 0.1, relative=reading == "relative"))
    for line, values in zip(curves.values(), last, strict=True):
        assert line.get_ydata()[-1] == pytest.approx(count(values).double().mean().item())


def test_what_goes_into_the_page_can_be_read_there():
    figure = Playground()
    text = json.dumps(figure.facts)
    assert json.loads(text) == figure.facts, "only what JSON has"
    for name, choices in figure.facts["choices"].items():
        assert [
            type(choice)(text) for choice, text in zip(choices, figure.facts["written"][name], strict=True)
        ] == choices
