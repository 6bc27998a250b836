"""Stage `report`: the results page of a group of runs, one self-contained HTML file.

reads   data/pages/<report>/<run>.json             what evaluation says about each run (stages/reporting/pages.py)
        data/pages/<report>/audits/<audit>.json    what an audit says (stages/reporting/audits.py)
writes  data/reports/<report>/index.html           tables, curves, timelines, audits, runs side by side, data quality; opens from
                                                   disk, asks the network nothing

exit    0 written    2 an entry, or a page file, that is missing or left over

Example:  python -m stages.report --name demo --pages data/pages/demo --out data/reports/demo
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from stages.params import DEFAULT_FILE, ParamsError, load_params, lookup
from stages.reporting.audits import AuditPage, read_audits
from stages.reporting.pages import RunPage, read_pages
from stages.reporting.reading import ReportError
from stages.reporting.settings import Report
from stages.reporting.site import render


def write_page(report: Report, pages: Sequence[RunPage], out: Path, audits: Sequence[AuditPage] = ()) -> Path:
    """Write out/index.html; it appears complete or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    partial, final = out / ".index.html.partial", out / "index.html"
    partial.write_bytes(render(report, pages, audits).encode("utf-8"))
    partial.replace(final)
    return final


def check_complete(present: Collection[str], wanted: Collection[str], folder: Path, kind: str = "run") -> None:
    """The pages must be those of the runs (audits) that belong to the report: none missing, none left over from one that is gone.

    Raises ReportError naming them.
    """
    stage = {"run": "evaluate", "audit": "audit"}[kind]
    if missing := sorted(set(wanted) - set(present)):
        raise ReportError(f"{folder}: no page of {', '.join(missing)}; {stage} first: dvc repro {stage}@{missing[0]}")
    if stale := sorted(set(present) - set(wanted)):
        files = ", ".join(str(folder / f"{name}.json") for name in stale)
        raise ReportError(f"{folder}: params.yaml has no {kind} of this report called {', '.join(stale)}; delete {files}")


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
        pages, audits = read_pages(args.pages), read_audits(args.pages / "audits")
        runs = [name for name, run in params.runs.items() if run.report == args.name]
        check_complete([page.run for page in pages], runs, args.pages)
        audited = [name for name, audit in params.audits.items() if audit.report == args.name]
        check_complete([page.audit for page in audits], audited, args.pages / "audits", "audit")
        if not pages and not audits:
            raise ReportError(f"{args.pages}: params.yaml has neither a run nor an audit with report: {args.name}; name one")
    except (ParamsError, ReportError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    print(write_page(report, pages, args.out, audits))
    return 0


if __name__ == "__main__":
    sys.exit(main())
