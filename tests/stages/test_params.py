"""params.yaml is read strictly, and says everything that is wrong with it at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import yaml

from stages.params import Params, ParamsError, load_params, lookup, parse

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Inner:
    width: int
    ratio: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    inner: Inner
    mode: Literal["slow", "fast"]
    sizes: tuple[int, ...]
    pair: tuple[float, float]
    limit: float | None
    table: dict[str, int]
    flag: bool


GOOD = {
    "name": "a",
    "inner": {"width": 3},
    "mode": "fast",
    "sizes": [1, 2],
    "pair": [0, 1.5],
    "limit": None,
    "table": {"x": 1},
    "flag": True,
}


def errors_of(**changes):
    with pytest.raises(ParamsError) as caught:
        parse(Outer, {**GOOD, **changes}, "here")
    return str(caught.value)


def test_a_good_mapping_becomes_the_dataclass_with_whole_numbers_accepted_as_floats():
    parsed = parse(Outer, GOOD, "here")
    assert parsed == Outer(
        name="a", inner=Inner(width=3), mode="fast", sizes=(1, 2), pair=(0.0, 1.5), limit=None, table={"x": 1}, flag=True
    )
    assert isinstance(parsed.pair[0], float)


def test_an_unknown_key_is_answered_with_the_nearest_name():
    assert errors_of(mod="fast") == "here: unknown key 'mod'; did you mean 'mode'? (Known keys: 8)"


def test_only_a_name_like_no_other_is_answered_with_all_of_them():
    assert errors_of(xyz="fast") == "here: unknown key 'xyz'. Known keys: " + ", ".join(GOOD)
    with pytest.raises(ParamsError, match=r"runs: no entry 'xyz'\. Known: a, b$"):
        lookup({"a": 1, "b": 2}, "xyz", "runs")
    many = {f"run{number:02}": number for number in range(60)}
    with pytest.raises(ParamsError) as caught:
        lookup(many, "run600", "runs")
    assert len(str(caught.value)) < 100
    assert str(caught.value).endswith("? (Known: 60)")


def test_a_missing_key_is_named_with_its_type():
    assert "here.inner: missing key 'width' (int)" in errors_of(inner={})


def test_a_number_that_yaml_reads_as_text_is_explained():
    value = yaml.safe_load("x: 1e-4")["x"]
    assert value == "1e-4"  # YAML 1.1 wants a point; this is the trap
    assert errors_of(limit=value) == (
        "here.limit: expected float, got '1e-4' (str) (YAML needs a point before the exponent: write 1.0e-04 without quotes)"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inner": {"width": True}}, "here.inner.width: expected int, got True (bool)"),
        ({"inner": {"width": 3.0}}, "here.inner.width: expected int, got 3.0 (float)"),
        ({"mode": "quick"}, "here.mode: expected one of 'slow', 'fast', got 'quick' (str)"),
        ({"sizes": 3}, "here.sizes: expected a list, got 3 (int)"),
        ({"sizes": [1, "b"]}, "here.sizes[1]: expected int, got 'b' (str)"),
        ({"pair": [1]}, "here.pair: expected a list of 2, got [1] (list)"),
        ({"table": {"x": None}}, "here.table.x: expected int, got None (NoneType)"),
        ({"flag": "yes"}, "here.flag: expected bool, got 'yes' (str)"),
        ({"limit": float("nan")}, "here.limit: expected a number, got nan (float)"),
        ({"name": None}, "here.name: expected str, got None (NoneType)"),
    ],
)
def test_a_wrong_value_is_shown_with_its_place_and_type(change, message):
    assert errors_of(**change) == message


def test_all_errors_are_reported_at_once():
    assert len(errors_of(name=3, inner={"widht": 1}, flag=0).splitlines()) == 4


def changed(tmp_path, change):
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    change(raw)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def test_the_file_of_the_repository_is_valid():
    params = load_params(ROOT / "params.yaml")
    assert isinstance(params, Params)


@pytest.mark.parametrize(("section", "name"), [("runs", "causalvtg-planted"), ("audits", "igv")])
def test_a_report_that_no_page_is_made_for_is_refused(section, name, tmp_path):
    path = changed(tmp_path, lambda raw: raw[section][name].update(report="thesiss"))
    with pytest.raises(ParamsError, match=rf"{section}\.{name}\.report: no report 'thesiss'; did you mean 'thesis'\?"):
        load_params(path, methods=False)


def test_errors_of_several_sections_come_together(tmp_path):
    def change(raw):
        raw["runs"]["causalvtg-planted"]["dataset"] = 7
        raw["runs"]["causalvtg-planted"]["model"]["hiden"] = 1
        raw["worlds"]["demo"]["seed"] = "x"

    with pytest.raises(ParamsError) as caught:
        load_params(changed(tmp_path, change))
    text = str(caught.value)
    assert "worlds.demo.seed: expected int, got 'x' (str)" in text
    assert "runs.causalvtg-planted.dataset: expected str, got 7 (int)" in text
    assert "runs.causalvtg-planted.model: unknown key 'hiden'" in text


def test_a_method_that_does_not_exist_is_answered_with_those_that_do(tmp_path):
    def change(raw):
        raw["runs"]["causalvtg-planted"]["method"] = "casualvtg"

    with pytest.raises(ParamsError, match=r"runs\.causalvtg-planted\.method: no method 'casualvtg'; did you mean 'causalvtg'\?"):
        load_params(changed(tmp_path, change))


def test_a_reference_to_an_entry_that_is_not_there_is_found(tmp_path):
    def change(raw):
        raw["runs"]["causalvtg-planted"]["dataset"] = "plantd"

    with pytest.raises(ParamsError, match=r"no dataset 'plantd'; did you mean 'planted'\?"):
        load_params(changed(tmp_path, change))


def test_a_name_that_cannot_be_a_file_name_is_refused(tmp_path):
    def change(raw):
        raw["reports"]["../x"] = raw["reports"]["demo"]

    with pytest.raises(ParamsError, match=r"'\.\./x' cannot be a name"):
        load_params(changed(tmp_path, change))


def test_a_key_given_twice_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("runs: {a: {}, a: {}}\n")
    with pytest.raises(ParamsError, match="key 'a' is given twice"):
        load_params(path)


@pytest.mark.parametrize("text", ["", "- a\n", "runs: [", "just words"])
def test_a_file_that_is_not_a_mapping_is_one_clear_error(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=r"params\.yaml"):
        load_params(path)


@pytest.mark.parametrize("deep", ["[" * 30_000, "- " * 30_000, '{"a":' * 30_000])
def test_nesting_that_would_overflow_the_stack_of_the_yaml_library_is_refused(tmp_path, deep):
    path = tmp_path / "params.yaml"
    path.write_text(f"a:\n  {deep}")
    with pytest.raises(ParamsError, match=r"params\.yaml: not valid YAML: line 2: .* more than 100 deep"):
        load_params(path)


def test_no_heads_are_refused(tmp_path):
    text = (ROOT / "params.yaml").read_text().replace("      heads: 2\n", "      heads: 0\n", 1)
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=r"runs\.\S+\.model: heads: .* both above 0; got \d+ channels and 0 heads"):
        load_params(path)


def test_lookup_offers_the_nearest_entry():
    with pytest.raises(ParamsError, match=r"runs: no entry 'igw'; did you mean 'igv'\?"):
        lookup({"igv": 1, "cra": 2}, "igw", "runs")
