"""A results page with everything on it, and a real browser to look at it."""

from __future__ import annotations

import os
import shutil

import pytest

from stages.reporting import site
from stages.reporting.audits import read_audits
from stages.reporting.pages import read_pages
from stages.reporting.settings import Report
from tests.stages.reporting.sample_answers import question_page, relation_page
from tests.stages.reporting.sample_audits import audit_page, with_outcomes, with_quality, write_audits
from tests.stages.reporting.sample_pages import hostile_page, page, write_pages

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DESK = {"width": 1280, "height": 900}


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    path = os.environ.get("DOFLOW_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium found; install one (Debian: apt-get install chromium) or set DOFLOW_CHROMIUM")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser):
    """Open a view of a file; at the end no request may have left and no error may have been reported."""
    seen, contexts = [], []

    def open_view(file, view, *, viewport=DESK, scheme="light"):
        context = browser.new_context(viewport=viewport, color_scheme=scheme)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: seen.append(message.text) if message.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: seen.append(str(error)))
        tab.on("dialog", lambda dialog: seen.append(dialog.message))
        own = file.as_uri()
        tab.on("request", lambda request: None if request.url.split("#")[0] in (own, "data:,") else seen.append(request.url))
        tab.goto(f"{own}#{view}")
        return tab

    yield open_view
    for context in contexts:
        context.close()
    assert seen == []


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    """Runs of every task, two of them side by side, audits, facts of data sets, and texts that nobody hopes for."""
    folder = tmp_path_factory.mktemp("report")
    charades = page("charades", dataset="charades_sta_clip", splits=("test",))
    planted = [with_outcomes(with_quality(page("one"))), with_outcomes(page("two-released"))]
    others = [charades, hostile_page(), question_page(), relation_page()]
    write_audits(write_pages(folder / "pages", *planted, *others), audit_page(), audit_page("other"))
    made = folder / "index.html"
    report = Report(title="Results", about="Made up.", timelines=6)
    made.write_text(site.render(report, read_pages(folder / "pages"), read_audits(folder / "pages" / "audits")), encoding="utf-8")
    return made
