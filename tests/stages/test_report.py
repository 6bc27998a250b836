"""The stage `report`: from page files to index.html."""

from __future__ import annotations

import pytest

from stages import report
from stages.params import load_params
from stages.reporting.pages import read_pages
from stages.reporting.reading import ReportError
from stages.reporting.settings import Report
from tests.stages.reporting.sample_audits import audit_page, write_audits
from tests.stages.reporting.sample_pages import page, write_pages


def runs_of(name):
    return [run for run, settings in load_params().runs.items() if settings.report == name]


def audits_of(name):
    return [audit for audit, settings in load_params().audits.items() if settings.report == name]


def test_the_stage_writes_one_page_for_all_runs_of_the_report(tmp_path, capsys):
    pages = write_pages(tmp_path / "pages", *(page(run, examples=1) for run in runs_of("demo")))
    write_audits(pages, *(audit_page(audit) for audit in audits_of("demo")))
    assert report.main(["--name", "demo", "--pages", str(pages), "--out", str(tmp_path / "out")]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["index.html"]
    html = (tmp_path / "out" / "index.html").read_text()
    assert all(f'id="run-{run}"' in html for run in runs_of("demo"))
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "index.html")


def test_the_same_pages_give_the_same_bytes(tmp_path):
    pages = read_pages(write_pages(tmp_path / "pages", page("one")))
    first = report.write_page(Report(title="t", timelines=2), pages, tmp_path / "a")
    second = report.write_page(Report(title="t", timelines=2), pages, tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()


def test_a_missing_run_and_a_left_over_page_are_named(tmp_path):
    with pytest.raises(ReportError, match=r"no page of two; evaluate first: dvc repro evaluate@two"):
        report.check_complete(["one"], ["one", "two"], tmp_path)
    with pytest.raises(ReportError, match=r"no run of this report called one; delete .*one\.json"):
        report.check_complete(["one"], [], tmp_path)


def test_the_stage_ends_with_the_error_and_without_a_page(tmp_path, capsys):
    assert report.main(["--name", "demo", "--pages", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("ReportError: ")
    assert report.main(["--name", "demmo", "--pages", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "did you mean 'demo'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
