"""One results page as a single HTML file: styles, scripts, data and all, so that it opens from disk and asks the network nothing.

The content security policy of the page allows exactly the scripts that are written into it, by digest, and no connection at all:
even a slip in escaping could neither run nor send anything. Data reach the scripts as JSON and the reader as text, never as HTML.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from stages.reporting import audits, comparing, figures, labels, tables, timelines
from stages.reporting.audits import AuditPage
from stages.reporting.pages import RunPage
from stages.reporting.quality import by_dataset
from stages.reporting.settings import Report

HERE = Path(__file__).parent
LIBRARIES = ("d3", "plot", "datatables")  # in the order in which they need each other
SCRIPTS = (  # likewise
    "charts", "spans", "dictionaries", "moments", "answers", "relations", "timelines", "grids", "queries", "audits", "compare",
    "views",
)  # fmt: skip


def render(report: Report, pages: Sequence[RunPage], audited: Sequence[AuditPage] = ()) -> str:
    """The page of `report` with all its runs and audits; equal input gives equal bytes."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": labels.visible,
        "number": labels.number,
        "difference": labels.difference,
        "metric": labels.metric,
        "breakable": breakable,
        "json_data": json_data,
        "provenance": provenance,
    }
    environment.globals |= {
        "anchor": labels.anchor,
        "tables": tables,
        "figures": figures,
        "timelines": timelines,
        "audits": audits,
    }
    scripts = [Markup(text) for text in _scripts()]  # noqa: S704 - files of this folder, not data
    compared = comparing.groups(pages)
    html = environment.get_template("index.html").render(
        report=report,
        pages=sorted(pages, key=lambda page: page.run),
        every_run=tables.every_run(pages),
        results=tables.results(pages),
        audited=sorted(audited, key=lambda page: page.audit),
        compared=compared,
        comparable={run["anchor"] for group in compared for run in group["runs"]},
        qualities=by_dataset([page.quality for page in pages if page.quality is not None]),
        policy=_policy(scripts),
        style=Markup(_read(HERE / "page" / "style.css")),  # noqa: S704
        scripts=scripts,
        licences=[(name, _read(HERE / "vendor" / f"{name}.LICENSE")) for name in LIBRARIES],
    )
    return str(html)


def breakable(name: str) -> Markup:
    """A name as text that may go on in a new line behind each underscore and comma."""
    parts = re.findall(r"[^_,]*[_,]|[^_,]+", labels.visible(name))
    return Markup("<wbr>").join(parts)  # what is joined is escaped


def json_data(value: Any) -> Markup:
    """A value as JSON that can stand inside a script element, whatever texts are in it."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704


def provenance(record: dict[str, Any]) -> str:
    """The digests and revisions of a run, for reading."""
    return json.dumps(record, indent=2, sort_keys=True, ensure_ascii=True)


def _scripts() -> list[str]:
    libraries = [HERE / "vendor" / f"{name}.min.js" for name in LIBRARIES]
    return [_read(path) for path in (*libraries, *(HERE / "page" / f"{name}.js" for name in SCRIPTS))]


def _read(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    assert "</script" not in text.lower(), path
    return text


def _policy(scripts: Sequence[str]) -> str:
    """Content security policy: these scripts, styles of the page itself, nothing from anywhere else."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    rest = "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {allowed}; {rest}"
