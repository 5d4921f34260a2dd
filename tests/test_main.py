"""The command line, run as a reader would, without a network."""

import gzip
import lzma
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from importlib.metadata import version

import pandas as pd
import pytest
import torch
from tiny_idx import body, serving, tiny_source, write_tiny

from lrlib import doctor, experiments, provenance, runtime, store
from lrlib.__main__ import main
from lrlib.data.files import Folders
from lrlib.data.sources import SOURCES
from lrlib.experiments import batch_size


@dataclass(frozen=True)
class OneConfig:
    seeds: tuple[int, ...] = (0, 1)


@pytest.fixture
def tiny_mnist(monkeypatch, tmp_path):
    """In the place of MNIST a tiny data set, in a reader's folder; nothing that could be fetched."""
    monkeypatch.setitem(SOURCES, "mnist", tiny_source())
    monkeypatch.setenv("LRLIB_DATA", str(tmp_path))
    write_tiny(tmp_path)
    return tmp_path / "tiny"


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setenv("LRLIB_RESULTS", str(tmp_path / "results"))
    return kept("probe")


def kept(name, **origin):
    """Store a run under ``quick``; ``origin`` is what is other than usual."""
    table = pd.DataFrame({"seed": [0, 1], "rank": [3.0, 4.0]})
    usual = {"device": "cpu (1 thread)", "commit": None, "versions": {}, "code": {}}
    return store.save(name, "quick", table, config={"seeds": [0, 1]}, origin=usual | origin, wall_time_s=12.3)


def test_data_says_where_the_files_are_and_that_they_are_verified(tiny_mnist, capsys):
    assert main(["data", "mnist", "digits"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "mnist: verified",
        f"  {tiny_mnist / 'train-images.gz'}",
        f"  {tiny_mnist / 'train-labels.gz'}",
        "digits: comes with scikit-learn, nothing to fetch",
    ]


def test_data_explains_a_failure_without_a_traceback(tiny_mnist, capsys):
    (tiny_mnist / "train-images.gz").write_bytes(b"junk")
    assert main(["data", "mnist"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{tiny_mnist / 'train-images.gz'}: expected the magic number 00 00 08 03 ")
    assert "Traceback" not in err


def test_data_refuses_an_unknown_name(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["data", "cifar"])
    assert "invalid choice: 'cifar' (choose from" in capsys.readouterr().err


@pytest.fixture
def interruptible():
    """Heed interrupts, which a shell has ignored by what it puts into the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_a_download_at_once_and_leaves_nothing(monkeypatch, tmp_path, capsys):
    def interrupt(handler):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(20)

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("lrlib.data.dataset.folders", lambda: Folders(None, tmp_path))
    started = time.monotonic()
    with serving(train_images=interrupt) as mirror:
        monkeypatch.setitem(SOURCES, "mnist", tiny_source(mirror.url))
        assert main(["data", "mnist"]) == 130
    assert time.monotonic() - started < 10
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_data_fetches_what_is_missing(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("lrlib.data.dataset.folders", lambda: Folders(None, tmp_path / "cache"))
    write_tiny(tmp_path)
    images, labels = (
        body((tmp_path / "tiny" / f"train-{kind}.gz").read_bytes()) for kind in ("images", "labels")
    )
    with serving(train_images=images, train_labels=labels) as mirror:
        monkeypatch.setitem(SOURCES, "mnist", tiny_source(mirror.url))
        assert main(["data", "mnist"]) == 0
    out = capsys.readouterr().out
    assert "mnist: verified" in out
    fetched = tmp_path / "cache" / "tiny" / "train-labels.gz"
    assert str(fetched) in out
    assert gzip.decompress(fetched.read_bytes())[-6:] == bytes([3, 1, 4, 1, 5, 9])


def test_run_runs_the_experiment_with_its_preset(results, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(experiments, "NAMES", ("probe",))
    monkeypatch.setattr(experiments, "run", lambda name, preset: calls.append((name, preset)) or results)
    assert main(["run", "probe"]) == 0
    assert main(["run", "probe", "--preset", "full"]) == 0
    assert calls == [("probe", "quick"), ("probe", "full")]
    assert capsys.readouterr().out.splitlines()[0] == f"probe-quick: stored as {results.path}"
    with pytest.raises(SystemExit, match="2"):
        main(["run", "prob"])
    assert "invalid choice: 'prob' (choose from" in capsys.readouterr().err


def test_run_takes_the_device_that_it_is_told(results, monkeypatch, capsys):
    monkeypatch.setenv("LRLIB_DEVICE", "auto")  # so that what main sets is undone
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(experiments, "NAMES", ("probe",))
    devices = []
    monkeypatch.setattr(experiments, "run", lambda *_: devices.append(runtime.device().type) or results)
    for choice in ("auto", "cpu", "cuda"):
        assert main(["run", "probe", "--device", choice]) == 0
    assert main(["run", "probe"]) == 0  # auto: the environment is left as it is
    assert devices == ["cuda", "cpu", "cuda", "cuda"]
    assert main(["run", "probe", "--device", "mps"]) == 1
    assert "'mps': torch sees no such device here, but cuda, cpu" in capsys.readouterr().err
    assert len(devices) == 4


def test_a_run_that_is_already_running_is_refused_in_words(results, monkeypatch, capsys):
    held = threading.Event(), threading.Event()

    def hold():
        with store.writing("batch_size", "quick"):
            held[0].set()
            held[1].wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held[0].wait()
    status = main(["run", "batch_size"])
    held[1].set()
    holder.join()
    assert status == 1
    assert "batch_size-quick: another process runs this" in capsys.readouterr().err


def test_run_leaves_a_current_run_as_it_is_where_that_is_asked_for(results, monkeypatch, capsys):
    monkeypatch.setattr(batch_size, "CONFIGS", {"quick": OneConfig()})
    monkeypatch.setattr(experiments, "run", lambda name, preset: kept(name, **origin))
    origin = provenance.origin("lrlib.experiments.batch_size")
    command = ["run", "batch_size", "--unless-current"]
    assert main(command) == 0  # there is none
    assert "stored as" in capsys.readouterr().out
    monkeypatch.setitem(origin, "commit", "a second run")
    assert main(command) == 0
    assert capsys.readouterr().out == "batch_size-quick: is stored and current\n"
    assert main(command[:-1]) == 0
    assert store.load("batch_size", "quick").manifest["commit"] == "a second run"
    monkeypatch.setattr(batch_size, "CONFIGS", {"quick": OneConfig(seeds=(0,))})  # which makes it stale
    monkeypatch.setitem(origin, "commit", "a third")
    assert main(command) == 0
    assert store.load("batch_size", "quick").manifest["commit"] == "a third"


def lines_of_results(capsys, *, status=0):
    """What ``results`` prints of the test's own runs: line -> its columns."""
    assert main(["results"]) == status
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[0]: line for line in lines}


def test_results_lists_what_is_stored_with_its_provenance(results, monkeypatch, capsys):
    current = provenance.origin("lrlib.experiments.batch_size") | {"commit": "0123456789abcdef+"}
    kept("batch_size", **current)
    monkeypatch.setattr(batch_size, "CONFIGS", {"quick": OneConfig()})
    lines = lines_of_results(capsys)
    today = results.manifest["finished"][:10]
    columns = re.split("  +", lines["probe-quick"])
    assert columns == [
        "probe-quick", "2 rows", "2 seeds", "12 s", "cpu (1 thread)", today, "-",
        "STALE: experiment: there is no such one",
    ]  # fmt: skip
    columns = re.split("  +", lines["batch_size-quick"])
    assert columns[4:] == [current["device"], today, "0123456+", "current"]
    monkeypatch.setattr(batch_size, "CONFIGS", {"quick": OneConfig(seeds=(0,))})
    kept("batch_size", **current | {"code": current["code"] | {"rank.py": "0", "gone.py": "1"}})
    assert lines_of_results(capsys)["batch_size-quick"].endswith(
        "  STALE: config: seeds is [0, 1], now [0]; code: gone.py, rank.py changed since"
    )


def test_columns_of_results_are_aligned(results, capsys):
    kept("probe_with_a_long_name", device="cuda (NVIDIA H100 80GB HBM3)")
    lines = lines_of_results(capsys).values()
    assert len({line.index(" rows") - len(re.search(r"(\d+) rows", line)[1]) for line in lines}) == 1
    assert len({re.search("STALE|current|DAMAGED", line).start() for line in lines}) == 1


def test_results_goes_past_a_damaged_run_and_says_what_is_wrong(results, capsys):
    kept("zest")
    results.path.write_bytes(lzma.compress(b"seed,rank\n0,9\n"))
    lines = lines_of_results(capsys, status=1)
    assert re.search(r"DAMAGED: .*probe-quick.csv.xz: SHA-256 is .*, its manifest says", lines["probe-quick"])
    assert "2 rows" in lines["zest-quick"]


def test_results_says_so_where_there_is_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(store, "_places", lambda: [tmp_path])
    assert main(["results"]) == 0
    assert capsys.readouterr().out.startswith("none in ")


def test_doctor_finds_all_that_the_book_needs_here(results, capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for name in (
        "lrlib",
        "torch",
        "numpy",
        "pandas",
        "matplotlib",
        "ipywidgets",
        "anywidget",
        "jupyter-book",
    ):
        assert f"  ok        {name}: {version(name)}\n" in out
    assert "ok        digits: comes with scikit-learn\n" in out
    assert f"ok        probe-quick: {results.path}\n" in out
    assert out.endswith("All that `make book` needs is here.\n")


def test_doctor_names_what_is_missing_and_how_to_get_it(results, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "BOOK", ("no-such-package", "numpy>=99"))
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "MISSING   no-such-package: not installed -> pip install -r requirements.txt\n" in out
    assert (
        f"MISSING   numpy: {version('numpy')}, but >=99 is wanted -> pip install -r requirements.txt\n" in out
    )
    assert out.endswith("`make book` cannot work yet. Do this:\n  pip install -r requirements.txt\n")


def test_doctor_tells_verified_missing_and_damaged_data_apart(tiny_mnist, tmp_path, monkeypatch):
    assert str(doctor.data_set("mnist")) == f"ok        mnist: verified, in {tiny_mnist}"
    (tiny_mnist / "train-labels.gz").write_bytes(b"junk")
    damaged = doctor.data_set("mnist")
    assert "train-labels.gz: expected the magic number" in damaged.found
    assert damaged.remedy == f"remove {tiny_mnist / 'train-labels.gz'}; python -m lrlib data mnist"
    assert doctor.missing_for_the_book([damaged]) == [damaged]
    (tiny_mnist / "train-labels.gz").unlink()
    absent = doctor.data_set("mnist")
    assert str(absent) == "optional  mnist: no train-labels -> python -m lrlib data mnist"
    assert doctor.missing_for_the_book([absent]) == []


def test_doctor_looks_for_the_browser_where_the_tests_do(monkeypatch, tmp_path):
    program = tmp_path / "chromium"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("LRLIB_CHROMIUM", raising=False)
    assert doctor.browser().found == str(program)
    monkeypatch.setenv("LRLIB_CHROMIUM", "no-such-browser")
    assert str(doctor.browser()).startswith("optional  chromium: no no-such-browser -> apt install chromium")


def test_doctor_reports_a_damaged_stored_run(results):
    assert doctor.missing_for_the_book(doctor.stored_results()) == []
    results.path.write_bytes(lzma.compress(b""))
    (damaged,) = doctor.missing_for_the_book(doctor.stored_results())
    assert "probe-quick.csv.xz: SHA-256 is" in damaged.remedy


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "lrlib", "data", "digits"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "digits: comes with scikit-learn, nothing to fetch\n"), (
        done.stderr
    )
