"""Every preset's sentence is true of its run, from five seeds: each phrase is measured, and can be wrong."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from playground_page import page_digits

from lrlib.interactive.base import linked
from lrlib.interactive.playground.figure import FOLDER
from lrlib.interactive.playground.presets import CHECKED_SEEDS, PRESETS
from lrlib.rank import count_above

SEEDS = range(CHECKED_SEEDS)  # settings were chosen on seeds from 100 on
EPS = 0.1  # the book's usual threshold, absolute and relative
SEEN = 1.0  # directions by which a local rank that climbs or falls has to move: a step of the axis that an eye can see
PROBE = 64  # inputs that a local rank is the mean over
MODULES = ("random", "tensor", "eigen", "network", "jacobian", "loss", "data", "training")

# In a worker for each seed: the course to its end, and of every record the spectra of each layer, side by side.
WORKER = """
self.onmessage = ({ data: [settings, digits] }) => {
    const course = new Training(settings, settings.data === "digits" ? digitsOf(digits) : null);
    while (!course.finished) course.advance();
    const spectra = course.network.weights.map((_, l) => {
        const all = new Float64Array(course.records.length * course.records[0].plain[l].length);
        course.records.forEach(({ plain }, i) => all.set(plain[l], i * plain[l].length));
        return all;
    });
    const records = course.records.map(({ step, train }) => [step, train.loss, train.score]);
    self.postMessage({ failure: course.failure, records, spectra });
};
"""
RUN = """async ([source, courses, digits]) => {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const text = (array) => {
        const bytes = new Uint8Array(array.buffer);
        let made = "";
        for (let i = 0; i < bytes.length; i += 32768) made += String.fromCharCode(...bytes.subarray(i, i + 32768));
        return btoa(made);
    };
    const made = await Promise.all(courses.map((settings) => new Promise((resolve, reject) => {
        const worker = new Worker(url);
        worker.onerror = (event) => reject(new Error(event.message));
        worker.onmessage = ({ data }) => (worker.terminate(), resolve(data));
        worker.postMessage([settings, digits]);
    })));
    return made.map((course) => ({ ...course, spectra: course.spectra.map(text) }));
}"""


@dataclass(frozen=True)
class Run:
    """A course, a row for each record: the local ranks have a column for each layer, L1 first."""

    steps: np.ndarray
    clock: np.ndarray
    loss: np.ndarray
    score: np.ndarray
    absolute: np.ndarray
    relative: np.ndarray

    def until(self, step):
        """The part of it up to this step."""
        kept = self.steps <= step
        return replace(self, **{name: values[kept] for name, values in vars(self).items()})


def ranks(spectra, records, *, relative):
    columns = []
    for text in spectra:
        values = np.frombuffer(base64.b64decode(text)).reshape(records, PROBE, -1)
        counts = count_above(torch.tensor(values), EPS, relative=relative)
        columns.append(counts.double().mean(1).numpy())
    return np.stack(columns, 1)


def run_of(settings, course):
    assert course["failure"] is None
    steps, loss, score = np.array(course["records"]).T
    absolute, relative = (ranks(course["spectra"], len(steps), relative=kind) for kind in (False, True))
    rate = settings["lr"] * settings["decay"] / (1 - settings["momentum"])
    return Run(steps, rate * steps, loss, score, absolute, relative)


SETTINGS = {key: preset.settings for key, preset in PRESETS.items()}
SETTINGS["noise 0"] = {**SETTINGS["label-noise"], "noise": 0.0}
CUT = {"barely begun": ("fall", 20)}  # a run that is the first steps of another


@pytest.fixture(scope="module")
def runs(browser):
    """Return a function: the runs by a name of SETTINGS or CUT, one for each seed. Each is trained once."""
    kept = {}
    source = linked(FOLDER / "engine" / f"{name}.js" for name in MODULES) + WORKER
    context = browser.new_context()
    requests, errors = [], []
    context.route("**/*", lambda route: (requests.append(route.request.url), route.abort()))
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))

    def trained(name):
        if name in CUT:
            whole, last = CUT[name]
            return [run.until(last) for run in trained(whole)]
        if name not in kept:
            courses = [{**SETTINGS[name], "seed": seed} for seed in SEEDS]
            data = page_digits() if SETTINGS[name]["data"] == "digits" else None
            made = page.evaluate(RUN, [source, courses, data])
            kept[name] = [run_of(SETTINGS[name], course) for course in made]
        return kept[name]

    yield trained
    context.close()
    assert requests == []
    assert errors == []


# --- what the sentences say: each phrase with a margin, which is positive where it is true ---------------------------


def climb(curve):
    """By how much more than what an eye can see a curve rises above its start."""
    return curve.max() - curve[0] - SEEN


def fall_after_top(curve):
    return curve.max() - curve[-1] - SEEN


def within_a_tenth(curve):
    """What is left, at the worst moment, of a tenth of the start."""
    return curve[0] / 10 - np.abs(curve - curve[0]).max()


def first(condition):
    """The first record at which it holds; the last one's successor where it never does."""
    return int(np.argmax(condition)) if condition.any() else len(condition)


def below_10(run):
    """The first record from which L2's highest value on has sunk below 10."""
    top = int(run.absolute[:, 1].argmax())
    return top + first(run.absolute[top:, 1] < 10)


def l1_when_l2_is_low(run):
    """What L1 has more than 25 at the moment at which L2 has fallen below 10: nothing good if L2 never does."""
    at = below_10(run)
    return run.absolute[at, 0] - 25 if at < len(run.steps) else -np.inf


def comes_back_late(run):
    """By how many records the return above 8 comes later than a training loss below 0.25."""
    low = int(run.relative[:, 1].argmin())
    return low + first(run.relative[low:, 1] > 8) - first(run.loss < 0.25)


def times_too_early(run, fall):
    """How many times its last clock would have to come before L2's fall below 10, less the four asked for."""
    at = below_10(fall)
    if at == len(fall.steps):
        return -np.inf
    return fall.clock[at] / run.clock[-1] - 4 if run.clock[-1] else -np.inf


Part = tuple[str, Callable[..., float]]
CLAIMS: dict[str, dict[str, Part]] = {
    "fall": {
        "L2 climbs": ("absolute local rank climbs in L2 and L3", lambda run: climb(run.absolute[:, 1])),
        "L3 climbs": ("absolute local rank climbs in L2 and L3", lambda run: climb(run.absolute[:, 2])),
        "L2 falls": ("then falls", lambda run: fall_after_top(run.absolute[:, 1])),
        "L3 falls": ("then falls", lambda run: fall_after_top(run.absolute[:, 2])),
        "L2 is low": (
            "By step 2,000 (clock ηλt = 2) it is below 10 in L2",
            lambda run: 10 - run.absolute[run.clock <= 2, 1][-1],
        ),
        "L1 is full": (
            "L1, full with 32 at the start",
            lambda run: 0.5 - abs(run.absolute[0, 0] - 32),  # whole numbers: L1's Jacobian is one matrix
        ),
        "L1 is late": ("follows later", l1_when_l2_is_low),
        "L1 is low": ("to below 20", lambda run: 20 - run.absolute[-1, 0]),
    },
    "no-decay": {
        "L2 up": (
            "in L2 and L3 the absolute local rank ends higher",
            lambda run: run.absolute[-1, 1] - run.absolute[0, 1] - SEEN,
        ),
        "L3 up": (
            "in L2 and L3 the absolute local rank ends higher",
            lambda run: run.absolute[-1, 2] - run.absolute[0, 2] - SEEN,
        ),
        "L2 down": ("the relative one lower", lambda run: run.relative[0, 1] - run.relative[-1, 1] - SEEN),
        "L3 down": ("the relative one lower", lambda run: run.relative[0, 2] - run.relative[-1, 2] - SEEN),
        "L1 absolute": ("L1 hardly moves in either", lambda run: within_a_tenth(run.absolute[:, 0])),
        "L1 relative": ("L1 hardly moves in either", lambda run: within_a_tenth(run.relative[:, 0])),
    },
    "lazy": {
        "learned": ("over 98 % of the training digits are learned", lambda run: run.score[-1] - 0.98),
        "L1 absolute": ("in L1 and L2 local rank stays", lambda run: within_a_tenth(run.absolute[:, 0])),
        "L2 absolute": ("in L1 and L2 local rank stays", lambda run: within_a_tenth(run.absolute[:, 1])),
        "L1 relative": ("absolute and relative", lambda run: within_a_tenth(run.relative[:, 0])),
        "L2 relative": ("absolute and relative", lambda run: within_a_tenth(run.relative[:, 1])),
    },
    "too-short": {
        "loss": ("the loss is below a fifth of its start", lambda run, fall: run.loss[0] / 5 - run.loss[-1]),
        "L1": (
            "absolute local rank is all 32 in L1",
            lambda run, fall: 0.5 - abs(run.absolute[:, 0] - 32).max(),
        ),
        "L2": (
            "higher than at first in L2 and L3",
            lambda run, fall: run.absolute[-1, 1] - run.absolute[0, 1] - SEEN,
        ),
        "L3": (
            "higher than at first in L2 and L3",
            lambda run, fall: run.absolute[-1, 2] - run.absolute[0, 2] - SEEN,
        ),
        "clock": ("The clock is at 0.2", lambda run, fall: 1e-9 - abs(run.clock[-1] - 0.2)),  # rounding
        "early": ("too early for the fall", times_too_early),
    },
    "label-noise": {
        "falls": (
            "L2's relative local rank falls below 4",
            lambda run, quiet: min(run.relative[0, 1] - 8, 4 - run.relative[:, 1].min()),
        ),
        "returns": ("comes back above 8", lambda run, quiet: run.relative[-1, 1] - 8),
        "late": ("once the training loss is below 0.25", lambda run, quiet: comes_back_late(run)),
        "fitted": ("below 0.25, the noise's variance", lambda run, quiet: 0.25 - run.loss[-1]),
        "quiet": ("With noise 0 it ends below 5", lambda run, quiet: 5 - quiet.relative[-1, 1]),
    },
}
BESIDE = {"too-short": "fall", "label-noise": "noise 0"}  # the run with which a claim compares its own

# (claim, runs that it is wrongly made of, those that they are compared with): the parts that must be false, at every seed
WRONG = [
    ("fall", "too-short", None, {"L2 is low", "L1 is late", "L1 is low"}),
    ("fall", "no-decay", None, {"L3 falls", "L2 is low", "L1 is late", "L1 is low"}),
    ("fall", "lazy", None, {"L2 climbs", "L3 climbs", "L3 falls", "L2 is low", "L1 is full", "L1 is low"}),
    ("fall", "label-noise", None, {"L2 falls", "L3 falls", "L2 is low", "L1 is full"}),
    ("no-decay", "fall", None, {"L2 up", "L1 absolute", "L1 relative"}),
    ("no-decay", "lazy", None, {"L2 up", "L3 up", "L3 down"}),
    ("no-decay", "barely begun", None, {"L2 down"}),
    ("lazy", "no-decay", None, {"L2 absolute", "L2 relative"}),
    ("lazy", "fall", None, {"L1 absolute", "L2 absolute", "L1 relative", "L2 relative"}),
    ("lazy", "barely begun", None, {"learned"}),
    ("too-short", "fall", "fall", {"L1", "L2", "clock", "early"}),
    ("too-short", "no-decay", "fall", {"clock", "early"}),
    ("too-short", "lazy", "fall", {"L2", "L3", "L1"}),
    ("too-short", "barely begun", "fall", {"loss", "clock"}),
    ("too-short", "too-short", "no-decay", {"early"}),
    ("label-noise", "noise 0", "label-noise", {"returns", "quiet"}),
    ("label-noise", "no-decay", "noise 0", {"falls"}),
    ("label-noise", "barely begun", "noise 0", {"falls", "fitted", "late"}),
]


def margins(key, runs, name, beside):
    """For every part of a preset's sentence its margins over the seeds, if it is said of the runs of this name."""
    others = runs(beside) if beside else None
    return {
        part: np.array(
            [margin(run, *([others[seed]] if others else [])) for seed, run in enumerate(runs(name))],
        )
        for part, (_, margin) in CLAIMS[key].items()
    }


def test_each_phrase_of_a_sentence_is_claimed():
    assert set(CLAIMS) == set(PRESETS)
    for key, parts in CLAIMS.items():
        for phrase, _ in parts.values():
            assert phrase in PRESETS[key].sentence
        assert PRESETS[key].eps == EPS


@pytest.mark.browser
@pytest.mark.parametrize("key", PRESETS)
def test_the_sentence_is_true_from_every_seed(runs, key):
    found = margins(key, runs, key, BESIDE.get(key))
    print(key, {part: values.round(3).tolist() for part, values in found.items()})
    assert {part: values.tolist() for part, values in found.items() if not (values > 0).all()} == {}


@pytest.mark.browser
@pytest.mark.parametrize(("key", "name", "beside", "wrong"), WRONG)
def test_the_sentence_is_not_true_of_other_runs(runs, key, name, beside, wrong):
    found = margins(key, runs, name, beside)
    print(key, name, {part: values.round(3).tolist() for part, values in found.items()})
    assert {part: found[part].tolist() for part in wrong if not (found[part] <= 0).all()} == {}


def test_every_part_is_wrong_of_something():
    for key, parts in CLAIMS.items():
        assert set().union(*(wrong for claim, _, _, wrong in WRONG if claim == key)) == set(parts)


def changed(key, other):
    return {name for name, value in SETTINGS[key].items() if SETTINGS[other][name] != value}


def test_what_is_said_of_the_settings():
    fall, lazy, short, noise = (SETTINGS[key] for key in ("fall", "lazy", "too-short", "label-noise"))
    assert fall["data"] == "digits"
    assert fall["decay"] > 0
    assert changed("no-decay", "fall") == {"decay"}
    assert SETTINGS["no-decay"]["decay"] == lazy["decay"] == noise["decay"] == 0
    assert lazy["scale"] / fall["scale"] == 3
    assert (lazy["data"], lazy["width"]) == ("digits", 64)
    assert changed("too-short", "fall") == {"steps"}
    assert short["steps"] == 200
    assert (noise["data"], noise["rank"], noise["noise"] ** 2) == ("teacher", 3, 0.25)
    assert PRESETS["label-noise"].reading == "relative"


@pytest.mark.browser
def test_too_short_is_the_start_of_the_fall(runs):
    """The same weights wherever both were read: they are told apart by nothing but when they end."""
    for short, fall in zip(runs("too-short"), runs("fall"), strict=True):
        both = np.intersect1d(short.steps, fall.steps)
        assert len(both) > 10
        for name in ("loss", "absolute", "relative"):
            a = getattr(short, name)[np.isin(short.steps, both)]
            np.testing.assert_array_equal(a, getattr(fall, name)[np.isin(fall.steps, both)])
