"""The experiment on deep VIB: its table, and every reading of a model from brute force in float64."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics

from lrlib import runtime, store
from lrlib.bottleneck import VIB, vib_bounds, vib_loss, vib_spectra
from lrlib.experiments import vib, vib_readings
from lrlib.experiments.readings import places
from lrlib.nets import MLP
from lrlib.rank import covariance_root
from lrlib.train import train

TINY = vib.Part("sweep", (1e-3, 0.1, 0.5), (0, 1), hidden=(12, 12), code=3, epochs=2, batch_size=100, lr=3e-3)
CONFIG = replace(
    vib.CONFIGS["quick"],
    seeds=(0, 1),
    parts=(
        TINY,
        replace(TINY, name="plane", code=2, seeds=(0,), n=200),
        replace(TINY, name="strength", betas=(1e-3,), seeds=(1,), alone=True),
    ),
    probes=5,
    bounded=50,
)
FLOAT32 = (
    2e-4  # sums of up to 360 terms, each rounded by 6e-8 in several layers, and read to 3 digits at the worst
)
DIGITS = 6e-3  # lists hold three digits
STDERRS = 4  # a mean over draws lies further from the truth once in 16,000 times; the seeds are fixed


@pytest.fixture(scope="module")
def task():
    return vib.prepare(CONFIG)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    path = tmp_path_factory.mktemp("kept") / "training"
    return {
        name: cell.make(path) if isinstance(cell, store.Resumable) else cell()
        for name, cell in vib.cells(CONFIG)
    }


@pytest.fixture(scope="module")
def model(task):
    """One with random weights, whose code varies, with its rows."""
    g = runtime.generator(5)
    found = VIB(MLP([64, 16, 6], generator=g), MLP([3, 10], generator=g), code=3)
    with torch.no_grad():
        found.encoder.L2.weight[:3] *= 10
        found.encoder.L2.bias[3:] += 4.5
    rows = vib_readings.rows(found, task.probe)
    return found, {
        (layer, reading, eps): (mean, stderr, text) for layer, reading, eps, mean, stderr, text in rows
    }


@pytest.fixture(scope="module")
def trained(task):
    g = runtime.generator(5)
    found = VIB(MLP([64, 16, 6], generator=g), MLP([3, 10], generator=g), code=3)
    train(
        found, *task.train, steps=400, lr=1e-2, batch_size=100, optimiser="adam", loss=vib_loss(1e-3), generator=g
    )  # fmt: skip
    return found


def test_cells_are_up_to_six_models_of_a_seed(tables):
    assert list(tables) == [
        "part0-sweep-seed0-beta0", "part0-sweep-seed1-beta0", "part1-plane-seed0-beta0", "part2-strength-seed1-beta0",
    ]  # fmt: skip
    full = vib.CONFIGS["full"]
    sweep = next(part for part in full.parts if part.name == "sweep")
    assert len(sweep.betas) >= 14
    assert min(sweep.betas) == 1e-6
    assert max(sweep.betas) == 1
    assert sum(0.1 <= beta <= 1 for beta in sweep.betas) >= 8
    for part in full.parts:
        assert len(part.seeds) >= (1 if part.name == "plane" else 3)


def test_the_full_strength_is_the_published_course():
    (part,) = (part for part in vib.CONFIGS["full"].parts if part.name == "strength")
    found = (part.betas, part.hidden, part.code, part.epochs, part.lr, part.batch_size, part.average)
    assert found == ((1e-3,), (1024, 1024), 256, 200, 1e-4, 100, 0.999)
    assert (part.drop, part.drop_every, vib.ADAM_BETAS) == (0.97, 2, (0.5, 0.999))


def test_the_table_is_tidy_and_complete(tables):
    table = pd.concat(tables.values())
    assert list(table.columns) == vib.COLUMNS
    keys = ["part", "code", "width", "n", "beta", "seed", "layer", "reading", "eps"]
    assert not table.duplicated(keys).any()
    models = table.groupby(["part", "beta", "seed"]).size()
    assert set(models.index.droplevel(1)) == {("sweep", 0), ("sweep", 1), ("plane", 0), ("strength", 1)}
    assert set(table[table.part == "plane"].n) == {200}
    assert set(table[table.part == "sweep"].n) == {1437}
    assert table["mean"].notna().eq(table["values"].isna()).all()
    own = {"positions", "decoder"}
    assert own <= set(table[table.part == "plane"].reading)
    assert not own & set(table[table.part != "plane"].reading)


def test_models_of_a_seed_have_one_start_one_order_and_one_noise(task):
    table = vib._together(TINY, task, 1, (0.1, 0.1))
    first, second = table[: len(table) // 2]["mean"], table[len(table) // 2 :]["mean"]
    np.testing.assert_allclose(
        first.to_numpy(), second.to_numpy(), rtol=1e-4
    )  # the same sums, perhaps regrouped


def test_a_model_trained_alone_reads_as_in_its_stack(task, tables):
    """One seed and beta end at the same readings, but for rounding."""
    together, alone = (
        table[(table.seed == 1) & (table.beta == 1e-3)].set_index(["layer", "reading", "eps"])["mean"]
        for table in (tables["part0-sweep-seed1-beta0"], tables["part2-strength-seed1-beta0"])
    )
    for name in ("distortion", "rate", "train_rate", "information_upper"):
        key = ("network", name, np.nan)
        assert together[key] == pytest.approx(alone[key], rel=1e-3)  # 28 steps of float32 in another order


def test_errors_and_scores_are_those_of_scikit_learn(model, task):
    found, rows = model
    x, y = task.probe.test
    with torch.no_grad():
        g = runtime.generator(0)
        p = found.predict(x, g, samples=vib_readings.DRAWS)
        one = found.predict(x, g, samples=1)
    checks = {
        "test_error": 1 - metrics.accuracy_score(y, p.argmax(1)),
        "test_error_one": 1 - metrics.accuracy_score(y, one.argmax(1)),
        "test_error_mean": 1 - metrics.accuracy_score(y, found(x).argmax(1)),
        "brier": metrics.brier_score_loss(y, p.numpy(), scale_by_half=False, labels=range(10)),
    }
    for name, expected in checks.items():
        mean, stderr, _ = rows["network", name, None]
        assert mean == pytest.approx(expected, abs=1e-6), name
        if name.startswith("test_error"):
            n = len(y)
            assert stderr == pytest.approx(math.sqrt(mean * (1 - mean) / (n - 1)), rel=1e-6)


def test_the_calibration_error_is_that_of_a_loop_over_bins():
    g = runtime.generator(0)
    p = torch.randn(200, 4, generator=g).double().mul(2).softmax(1)
    y = torch.randint(0, 4, (200,), generator=g)
    confidence, chosen = p.max(1)
    total = 0.0
    for b in range(15):
        inside = (confidence >= b / 15) & (confidence < (b + 1) / 15)
        if inside.any():
            total += (
                abs((chosen == y)[inside].double().mean() - confidence[inside].mean()) * inside.sum() / 200
            )
    assert vib_readings.calibration_error(p, y) == pytest.approx(float(total))
    assert vib_readings.calibration_error(torch.eye(4)[y], y) == 0  # sure and right, in the last bin
    assert vib_readings.calibration_error(torch.eye(4)[(y + 1) % 4], y) == 1


def test_rates_distortions_and_bounds_are_those_of_the_model(model, task):
    found, rows = model
    for prefix, (x, y) in (("", task.probe.test), ("train_", task.probe.train)):
        with torch.no_grad():
            rate = found.double().rate(x.double())
            sampled = found.distortion(x.double(), y, runtime.generator(1), samples=200).mean().item()
            found.float()
        mean, stderr, _ = rows["network", f"{prefix}rate", None]
        assert mean == pytest.approx(rate.mean().item(), rel=FLOAT32)
        assert stderr == pytest.approx(rate.std().item() / math.sqrt(len(x)), rel=FLOAT32)
        mean, stderr, _ = rows["network", f"{prefix}distortion", None]
        assert abs(mean - sampled) < STDERRS * stderr
    lower, upper = (rows["network", f"information_{side}", None][0] for side in ("lower", "upper"))
    assert lower < min(math.log(CONFIG.bounded), upper)


def test_noise_on_the_pixels_is_in_units_of_black_and_white(trained, task):
    """Against draws with noise of twice its size, in the units of images in [-1, 1]; once its size would not do."""
    rows = {row[1:3]: row[3] for row in vib_readings.rows(trained, task.probe)}
    (x, y), g = task.probe.test, runtime.generator(7)
    with torch.no_grad():
        noisy = [x + white * 0.4 * torch.randn(x.shape, generator=g) for white in (2, 1)]
        errors = [(trained.predict(part, g).argmax(1) != y).double().mean().item() for part in noisy]
    slack = STDERRS * math.sqrt(2 * 0.25 / len(y))
    assert abs(errors[0] - rows["noise_error", 0.4]) < slack < rows["noise_error", 0.4] - errors[1]


def test_rank_readings_are_counts_of_the_whole_jacobian_s_singular_values(model, task):
    found, rows = model
    root, spectra = (
        task.probe.input_factor.numpy(),
        {"absolute": [], "data-scaled": [], "signal-to-noise": []},
    )
    found.double()
    for one in task.probe.inputs.double():
        j = torch.autograd.functional.jacobian(lambda v: found.encode(v[None])[0][0], one).numpy()
        scale = found.encode(one[None])[1][0].detach().numpy()
        for name, matrix in zip(spectra, (j, j @ root, j @ root / scale[:, None]), strict=True):
            spectra[name].append(np.linalg.svd(matrix)[1])
    found.float()
    spectra = {name: np.array(values) for name, values in spectra.items()}
    for reading, levels in vib_readings.THRESHOLDS.items():
        s = spectra["absolute" if reading == "relative" else reading]
        for eps in levels:
            counts = (s > (eps * s[:, :1] if reading == "relative" else eps)).sum(1)
            mean, stderr, _ = rows["code", reading, eps]
            assert mean == pytest.approx(counts.mean())
            assert stderr == pytest.approx(counts.std(ddof=1) / math.sqrt(len(counts)))
    p = spectra["absolute"] / spectra["absolute"].sum(1, keepdims=True)
    effective, stable = np.exp(-(p * np.log(p)).sum(1)), (p**2).sum(1) / p[:, 0] ** 2
    assert rows["code", "effective", None][0] == pytest.approx(effective.mean(), rel=FLOAT32)
    assert rows["code", "stable", None][0] == pytest.approx(stable.mean(), rel=FLOAT32)
    for name, s in (("jacobian_spectrum", "absolute"), ("snr_spectrum", "signal-to-noise")):
        assert listed(rows["code", name, None][2]) == pytest.approx(np.median(spectra[s], 0), rel=DIGITS)


def test_global_readings_are_those_of_the_codes_covariance(model, task):
    found, rows = model
    with torch.no_grad():
        mean, scale = (part.double().numpy() for part in found.encode(task.probe.test[0]))
    cov = np.cov(mean.T)
    values = np.sort(np.linalg.eigvalsh(cov))[::-1]
    for eps in vib_readings.GLOBAL["global"]:
        assert rows["code", "global", eps][0] == (values > eps).sum()
    assert rows["code", "global relative", 0.01][0] == (values > 0.01 * values[0]).sum()
    assert rows["code", "active", 0.01][0] == (np.diag(cov) > 0.01).sum()
    assert listed(rows["code", "global_spectrum", None][2]) == pytest.approx(values, rel=DIGITS)
    rates = (0.5 * (mean**2 + scale**2 - 1) - np.log(scale)).mean(0)
    assert listed(rows["code", "rate_spectrum", None][2]) == pytest.approx(sorted(rates)[::-1], rel=DIGITS)


def listed(text):
    parts = [item.split(":") for item in text.split()]
    assert [int(i) for i, _ in parts] == places(len(parts))
    return [float(v) for _, v in parts]


def test_the_plane_holds_codes_and_decoder(task):
    """A decoder that cuts the plane as the text says gives the classes that the model gives at its mean codes."""
    part = CONFIG.parts[1]
    found = vib._model(part, task, 0, torch.device("cpu"))
    rows = {row[1]: row[5] for row in vib._in_the_plane(found, task.probe)}
    points = np.array([[float(v) for v in item.split(",")] for item in rows["positions"].split()])
    planes = np.array([[float(v) for v in item.split(",")] for item in rows["decoder"].split()])
    x, y = (value[: vib.POSITIONS] for value in task.probe.test)
    mean, scale = (value.detach().numpy() for value in found.encode(x))
    np.testing.assert_allclose(points[:, :2], mean, rtol=1e-3)
    np.testing.assert_allclose(points[:, 2:4], scale, rtol=1e-3)
    assert (points[:, 4] == y.numpy()).all()
    scores = points[:, :2] @ planes[:, :2].T + planes[:, 2]
    np.testing.assert_allclose(scores, found(x).detach().numpy(), rtol=1e-2, atol=1e-3)


def test_a_smaller_training_set_is_a_draw_of_the_whole_and_another_for_another_seed(task):
    part = replace(TINY, n=100)
    first, again, other = (vib._images(part, task, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(torch.unique(first, dim=0)) == 100
    assert torch.equal(vib._images(TINY, task, 0)[0], task.train[0])


def test_training_is_adam_s_with_the_schedule_and_the_average(task):
    """The course of one model written out with torch's own parts."""
    part = replace(TINY, epochs=3, drop=0.5, drop_every=1, average=0.9)
    table = vib._together(part, task, 1, (0.1,))
    net = vib._model(part, task, 1, torch.device("cpu"))
    loss, g = vib_loss(0.1), runtime.generator(1_001)
    optimiser = torch.optim.Adam(net.parameters(), lr=part.lr, betas=(0.5, 0.999))
    (x, y), mean, steps = task.train, None, 14
    for step in range(3 * steps):
        if step % steps == 0:
            order = torch.randperm(len(y), generator=g)
        rows = order[step % steps * 100 :][:100]
        optimiser.param_groups[0]["lr"] = part.lr * 0.5 ** (step // steps)
        optimiser.zero_grad()
        loss(net, x[rows], y[rows], g).backward()
        optimiser.step()
        now = [p.detach().clone() for p in net.parameters()]
        mean = now if mean is None else [0.9 * a + 0.1 * b for a, b in zip(mean, now, strict=True)]
    with torch.no_grad():
        for p, value in zip(net.parameters(), mean, strict=True):
            p.copy_(value)
    expected = net.rate(task.probe.test[0]).mean().item()
    found = table[table.reading == "rate"]["mean"].item()
    assert found == pytest.approx(expected, rel=1e-4)  # 42 steps of float32 in another order


def test_readings_see_images_between_minus_one_and_one(task):
    x = task.train[0]
    assert (x.min().item(), x.max().item()) == (-1, 1)
    torch.testing.assert_close(task.probe.input_factor, covariance_root(x))
    assert len(task.probe.inputs) == CONFIG.probes


def test_a_kill_during_the_readings_costs_only_them(task, tmp_path, monkeypatch):
    """The trained model lies beside the file that training was kept in."""
    part, path, before = CONFIG.parts[2], tmp_path / "cell.training", []

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(vib, "_table", killed)
        with pytest.raises(KeyboardInterrupt):
            vib._alone(part, task, 1, 1e-3, path)
    monkeypatch.setattr(vib, "train", lambda *_, **__: before.append("trained again"))
    found = vib._alone(part, task, 1, 1e-3, path)
    assert not before
    monkeypatch.undo()
    whole = vib._alone(part, task, 1, 1e-3, tmp_path / "other.training")
    pd.testing.assert_frame_equal(found, whole)


@pytest.mark.parametrize("module", [vib_readings, vib_bounds, vib_spectra])
def test_nothing_becomes_float64_before_it_is_on_the_cpu(module):
    """MPS has no float64. Where there is none of it to try, the source must do."""
    source = Path(module.__file__).read_text("utf-8")
    assert ".double().cpu()" not in source
    assert ".cpu()" in source
