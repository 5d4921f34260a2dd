"""The command line: ``python -m lrlib doctor``, ``data``, ``run`` and ``results``."""

import argparse
import os
import sys
from collections.abc import Sequence

from lrlib import data, experiments, runtime, store
from lrlib.doctor import examine, missing_for_the_book


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 all well, 1 a problem, explained, 130 interrupted."""
    chosen = _parser().parse_args(arguments)
    try:
        return chosen.command(chosen)
    except (data.DataError, store.StoreError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lrlib", description="The Local Rank Book's library.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    doctor = commands.add_parser(
        "doctor", help="tell what is installed, found and verified, and how to get the rest"
    )
    doctor.set_defaults(command=_doctor)

    fetch = commands.add_parser("data", help="fetch and verify data sets")
    fetch.add_argument("names", nargs="+", choices=data.NAMES, metavar="NAME", help=", ".join(data.NAMES))
    fetch.set_defaults(command=_data)

    run = commands.add_parser("run", help="run an experiment and store its result")
    run.add_argument("name", choices=experiments.NAMES, metavar="NAME", help=", ".join(experiments.NAMES))
    run.add_argument("--preset", choices=experiments.PRESETS, default="quick")
    run.add_argument(
        "--device",
        choices=("auto", *runtime.DEVICES),
        default="auto",
        help="auto: $LRLIB_DEVICE where it is set, else the fastest that torch sees",
    )
    run.add_argument(
        "--unless-current", action="store_true", help="leave a stored run that is not stale as it is"
    )
    run.set_defaults(command=_run)

    results = commands.add_parser("results", help="list the stored results, and which of them are stale")
    results.set_defaults(command=_results)
    return parser


def _doctor(_: argparse.Namespace) -> int:
    findings = []
    for title, group in examine():
        print(f"{title}")
        for finding in group:
            print(f"  {finding}")
            findings.append(finding)
    missing = missing_for_the_book(findings)
    if not missing:
        print("All that `make book` needs is here.")
        return 0
    print("`make book` cannot work yet. Do this:")
    for remedy in dict.fromkeys(finding.remedy for finding in missing):
        print(f"  {remedy}")
    return 1


def _data(chosen: argparse.Namespace) -> int:
    for name in chosen.names:
        paths = data.fetch(name)
        print(f"{name}: verified" if paths else f"{name}: comes with scikit-learn, nothing to fetch")
        for path in paths:
            print(f"  {path}")
    return 0


def _run(chosen: argparse.Namespace) -> int:
    if chosen.device != "auto":
        os.environ["LRLIB_DEVICE"] = chosen.device  # runtime.device() reads it: this process has one device
    try:
        runtime.device()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if chosen.unless_current and _is_current(chosen.name, chosen.preset):
        print(f"{chosen.name}-{chosen.preset}: is stored and current")
        return 0
    stored = experiments.run(chosen.name, chosen.preset)
    print(f"{stored.name}-{stored.preset}: stored as {stored.path}")
    return 0


def _is_current(name: str, preset: str) -> bool:
    try:
        return not experiments.stale(experiments.load(name, preset))
    except store.StoreError:
        return False


def _results(_: argparse.Namespace) -> int:
    rows = []
    for name, preset in store.names():
        try:
            rows.append([f"{name}-{preset}", *_described(store.load(name, preset))])
        except store.StoreError as problem:
            rows.append([f"{name}-{preset}", *["-"] * 6, f"DAMAGED: {problem}"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
    if not rows:
        print(f"none in {store.folder()}; make one with: python -m lrlib run NAME --preset full")
    return int(any(row[-1].startswith("DAMAGED") for row in rows))


def _described(run: store.StoredRun) -> list[str]:
    """Return what the line of one stored run says after its name, column by column."""
    said, reasons = run.manifest, experiments.stale(run)
    seeds, commit = len(said["seeds"] or ()), said["commit"] or "-"
    return [
        f"{said['rows']} rows",
        f"{seeds} seed{'' if seeds == 1 else 's'}",
        f"{said['wall_time_s']:.0f} s",
        said["device"],
        said["finished"][: len("2026-01-31")],
        commit[:7] + "+" * commit.endswith("+"),
        f"STALE: {'; '.join(reasons)}" if reasons else "current",
    ]


if __name__ == "__main__":
    sys.exit(main())
