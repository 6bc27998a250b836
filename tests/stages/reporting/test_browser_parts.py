"""Questions, relations, audits, two runs side by side and data quality in a real browser."""

from __future__ import annotations

import pytest

from stages.reporting import site
from stages.reporting.audits import read_audits
from stages.reporting.pages import read_pages
from stages.reporting.settings import Report
from tests.stages.reporting.sample_audits import audit_page, with_outcomes, write_audits
from tests.stages.reporting.sample_pages import page, write_pages

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
expect = playwright.expect
PHONE = {"width": 390, "height": 844}


def test_a_question_shows_given_and_right_option_in_words_and_what_was_looked_at(visit, file):
    tab = visit(file, "run-questions")
    opened = tab.locator("#run-questions .timeline").first
    given = opened.locator(".options li", has=tab.locator(".tag.given"))
    assert given.locator("bdi").inner_text() == opened.locator(".verdict bdi").inner_text()
    assert opened.locator(".options li").count() == 5
    assert opened.locator(".options .tag.right").inner_text() == "✓ right"
    assert opened.locator(".chart [role=img]").count() == 2
    assert "evidence:" in opened.locator(".chart [role=img]").first.get_attribute("aria-label")


def test_questions_are_filtered_by_right_and_wrong(visit, file):
    tab = visit(file, "run-questions")
    box = tab.locator("#run-questions .queries")
    box.get_by_label("show only this result").select_option(label="✗ wrong")
    assert set(box.locator("td[data-label=result]").all_inner_texts()) == {"✗ wrong"}


def test_relations_tell_hits_and_misses(visit, file):
    opened = visit(file, "run-relations").locator("#run-relations .timeline").first
    opened.locator("summary").nth(1).click()
    assert opened.locator("ol").nth(1).locator("li", has_text="✓ hit").count() == 2
    assert "✗ missed" in opened.locator(".chart svg").first.inner_html()


def test_every_run_is_filtered_by_data_set_and_leads_to_its_page(visit, file):
    tab = visit(file, "overview")
    section = tab.locator("section[aria-labelledby=every-run]")
    section.get_by_label("show only this data set").select_option(label="planted_relations")
    section.locator("tbody").get_by_role("link").click()
    expect(tab.locator("#run-relations h1")).to_be_visible()


def test_an_audit_is_found_from_the_list_and_changes_its_measure(visit, file):
    tab = visit(file, "overview")
    tab.get_by_role("navigation").get_by_role("link", name="Audits").click()
    tab.locator("#audits tbody").get_by_role("link", name="causalvtg").click()
    view = tab.locator("#audit-causalvtg")
    expect(view.get_by_role("heading", name="What it says")).to_be_visible()
    charts = view.locator("[data-chart=audit] svg")
    assert charts.count() == 5
    view.get_by_label("measure", exact=True).select_option("IoU")
    expect(view.locator(".card h3").first).to_have_text("IoU of every variant, by split")
    assert charts.count() == 3
    assert view.get_by_role("link", name="one", exact=True).get_attribute("href") == "#run-one"


def test_effects_are_filtered_by_what_their_interval_says(visit, file):
    tab = visit(file, "audit-causalvtg")
    table = tab.get_by_role("region", name="Effects of causalvtg")
    tab.locator("#audit-causalvtg").get_by_label("show only this interval").select_option(label="includes 0")
    found = table.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [row.cells[5], row.cells[6]].map(cell => Number(cell.dataset.order)))"
    )
    assert found
    assert all(low <= 0 <= high for low, high in found)


def test_two_runs_are_compared_query_by_query(visit, file):
    tab = visit(file, "run-two-released")
    tab.get_by_role("link", name="Compare with another run").click()
    view = tab.locator("#compare")
    assert view.get_by_label("first run").input_value() == "1"
    wins = view.locator(".tiles strong")
    assert sum(int(wins.nth(n).inner_text()) for n in range(3)) == 120
    first, second = wins.nth(0).inner_text(), wins.nth(1).inner_text()
    view.get_by_label("first run").select_option(label="one")
    view.get_by_label("second run").select_option(label="two-released")
    assert [wins.nth(0).inner_text(), wins.nth(1).inner_text()] == [second, first]
    view.get_by_label("measure", exact=True).select_option("R1@0.5")
    view.get_by_label("show only this result").select_option(label="alike")
    assert set(view.locator("td[data-label=difference]").all_inner_texts()) == {"0.0"}
    assert view.locator("img").count() == 0  # the first queries look like HTML


def test_queries_of_two_runs_sort_by_their_difference(visit, file):
    tab = visit(file, "compare")
    head = tab.locator("#compare th", has_text="difference")
    head.click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    shown = tab.locator("#compare td[data-label=difference]").all_inner_texts()
    values = [float(text.replace("\u2212", "-")) for text in shown]
    assert values == sorted(values)


def test_oddities_of_a_data_set_are_filtered_by_rule(visit, file):
    tab = visit(file, "data")
    tab.locator("#data").get_by_label("show only this rule").select_option(label="shared videos")
    rows = tab.locator("#data table.oddities tbody tr")
    assert rows.count() == 1
    assert rows.locator("td").first.inner_text() == "iid and rf_iid"
    assert tab.locator("#data td.records b").count() == 0


def test_on_a_phone_rows_are_cards_that_are_sorted_by_a_choice(visit, file):
    tab = visit(file, "overview", viewport=PHONE)
    section = tab.locator("section[aria-labelledby=every-run]")
    section.get_by_label("sort by").select_option(label="ours ↓")
    values = section.locator("tbody tr").evaluate_all("rows => rows.map(row => Number(row.cells[5].dataset.order))")
    assert values == sorted(values, reverse=True)
    assert section.locator("td").first.evaluate("cell => getComputedStyle(cell, '::before').content").startswith('"method')


def test_a_report_of_audits_alone_has_no_runs(visit, tmp_path):
    folder = write_audits(tmp_path, audit_page())
    file = tmp_path / "index.html"
    file.write_text(site.render(Report(title="Audits", timelines=0), [], read_audits(folder / "audits")), encoding="utf-8")
    tab = visit(file, "overview")
    tab.get_by_role("link", name="all of them side by side").click()
    assert tab.locator("#audits tbody tr").count() == 1
    assert tab.locator("#jump optgroup").count() == 1


def test_two_runs_of_ten_thousand_queries_are_compared_without_freezing(visit, tmp_path):
    pages = [with_outcomes(page(run, examples=0), queries=3334) for run in ("one", "two")]
    file = tmp_path / "index.html"
    file.write_text(site.render(Report(title="Many", timelines=0), read_pages(write_pages(tmp_path / "pages", *pages))))
    assert file.stat().st_size < 3_000_000
    tab = visit(file, "overview")
    until = "requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)))"
    timed = f"new Promise(done => {{ const start = performance.now(); %s; {until} }})"
    opening = tab.evaluate(timed % "location.hash = '#compare'")
    tab.locator("#compare .dt-info", has_text="10,002").wait_for()
    box = "const box = document.querySelector('#compare [aria-label=measure]'); box.value = 'R1@0.5'"
    choose = f"{box}; box.dispatchEvent(new Event('change'))"
    changing = tab.evaluate(timed % choose)
    print(f"opening {opening:.0f} ms, another measure {changing:.0f} ms")
    assert max(opening, changing) < 6000
