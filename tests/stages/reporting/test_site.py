"""The page as a file: complete, equal for equal input, and safe whatever the data hold."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from stages.reporting import site
from stages.reporting.pages import read_pages
from stages.reporting.settings import Report
from tests.stages.reporting.sample_pages import hostile_page, page, write_pages

REPORT = Report(title="Results & <more>", about="On a made-up world.", timelines=4)


@pytest.fixture
def html(tmp_path):
    return site.render(REPORT, read_pages(write_pages(tmp_path, page("one"), page("two-released"), hostile_page())))


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.ids = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]


def test_equal_pages_give_equal_bytes_in_any_order(tmp_path):
    pages = read_pages(write_pages(tmp_path, page("one"), page("two")))
    assert site.render(REPORT, pages) == site.render(REPORT, pages[::-1])


def test_nothing_is_loaded_from_elsewhere(html):
    for tag, attributes in Elements(html).found:
        target = attributes.get("src") or attributes.get("href") or ""
        assert target.startswith("#") or target in ("", "data:,"), (tag, target)
    assert "@import" not in html
    assert "url(" not in re.sub(r"<script>.*?</script>", "", html, flags=re.S)


def test_the_policy_allows_exactly_the_scripts_that_are_written_into_the_page(html):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    policy = policy.replace("&#39;", "'")
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.S)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    assert re.findall(r"'sha256-([^']*)'", policy) == digests
    assert policy.startswith("default-src 'none';")


def test_html_in_queries_titles_and_ids_stays_text(html):
    elements = Elements(html)
    assert not [tag for tag, _ in elements.found if tag in ("img", "b")]
    assert not [1 for tag, attributes in elements.found if any(name.startswith("on") for name in attributes)]
    assert "&lt;script&gt;alert(&#39;title&#39;)" in html
    html.encode("utf-8")


def test_control_characters_never_reach_the_file(html):
    assert not re.findall(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", re.sub(r"<script>.*?</script>", "", html, flags=re.S))


def test_every_id_is_used_once_and_every_link_within_the_page_leads_somewhere(html):
    elements = Elements(html)
    assert len(elements.ids) == len(set(elements.ids))
    links = {attributes["href"][1:] for tag, attributes in elements.found if tag == "a" and attributes["href"].startswith("#")}
    assert links <= set(elements.ids)


def test_data_in_script_elements_reads_back_as_it_was():
    nasty = {"a": "</script><!--", "b": "\u2028&amp;\x00", "c": [1.5, None]}
    text = site.json_data(nasty)
    assert not set("<>&\u2028\x00") & set(text)
    assert json.loads(text) == nasty


def test_libraries_are_the_released_files_named_in_their_readme():
    rows = re.findall(r"^\| `(\S+)` .*`([0-9a-f]{64})` \|$", (site.HERE / "vendor" / "README.md").read_text(), flags=re.M)
    assert {name for name, _ in rows} == {f"{name}.min.js" for name in site.LIBRARIES}
    for name, digest in rows:
        assert hashlib.sha256((site.HERE / "vendor" / name).read_bytes()).hexdigest() == digest, name


def test_licences_of_the_libraries_are_in_the_page(html):
    assert html.count("Permission to use, copy, modify") + html.count("Permission is hereby granted") >= len(site.LIBRARIES)


def test_long_names_may_break_behind_underscores_and_commas_and_stay_text():
    assert site.breakable("R@1,IoU@0.5") == "R@1,<wbr>IoU@0.5"
    assert site.breakable("planted_<b>_one") == "planted_<wbr>&lt;b&gt;_<wbr>one"
