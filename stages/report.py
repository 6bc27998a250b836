"""Stage `report`: the results page of a group of runs, one self-contained HTML file.

reads   data/pages/<report>/<run>.json      what evaluation says about each run (stages/reporting/pages.py)
writes  data/reports/<report>/index.html    tables, curves, breakdowns and timelines; opens from disk, asks the network nothing

Example:  python -m stages.report --name demo --pages data/pages/demo --out data/reports/demo
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from pathlib import Path

from stages.params import DEFAULT_FILE, ParamsError, load_params, lookup
from stages.reporting.pages import RunPage, read_pages
from stages.reporting.reading import ReportError
from stages.reporting.settings import Report
from stages.reporting.site import render


def write_page(report: Report, pages: list[RunPage], out: Path) -> Path:
    """Write out/index.html; it appears complete or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    partial, final = out / ".index.html.partial", out / "index.html"
    partial.write_bytes(render(report, pages).encode("utf-8"))
    partial.replace(final)
    return final


def check_complete(pages: list[RunPage], runs: Collection[str], folder: Path) -> None:
    """The pages must be those of the runs that belong to the report: none missing, none left over from a run that is gone.

    Raises ReportError naming the runs.
    """
    present = {page.run for page in pages}
    if missing := sorted(set(runs) - present):
        raise ReportError(f"{folder}: no page of {', '.join(missing)}; evaluate first: dvc repro evaluate@{missing[0]}")
    if stale := sorted(present - set(runs)):
        files = ", ".join(str(folder / f"{run}.json") for run in stale)
        raise ReportError(f"{folder}: params.yaml has no run of this report called {', '.join(stale)}; delete {files}")


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="entry of params.yaml: reports")
    parser.add_argument("--pages", type=Path, required=True, help="folder of page files, one per run")
    parser.add_argument("--out", type=Path, required=True, help="folder of the page")
    parser.add_argument("--params", type=Path, default=DEFAULT_FILE)
    args = parser.parse_args(argv)
    try:
        params = load_params(args.params, methods=False)
        report = lookup(params.reports, args.name, "reports")
        pages = read_pages(args.pages)
        check_complete(pages, [name for name, run in params.runs.items() if run.report == args.name], args.pages)
    except (ParamsError, ReportError) as error:
        print(f"stages.report: {error}", file=sys.stderr)
        return 1
    print(write_page(report, pages, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
