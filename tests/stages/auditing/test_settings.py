"""What an audit may be, and which trainings it makes of its variants."""

import json
from dataclasses import asdict

import pytest

from models.method import load_method
from stages.auditing.settings import Audit
from stages.params import ParamsError, load_params, parse, run_alone
from stages.tasks.task import load_task

DATA = {"dataset": "biased", "confounders": {"video": "v", "query": "q"}}
OTHER = {"dataset": "fair", "confounders": {"video": "v", "query": "r"}}
ENTRY = {
    "run": "one", "report": "audits",
    "data": DATA, "unbiased": OTHER, "variants": {"base": {"method": "cpl"}, "full": {}}, "seeds": [0, 1],
    "measures": ["IoU"], "twins": ["full"],
}  # fmt: skip


def test_a_twin_is_its_variant_on_the_unbiased_data():
    changes = parse(Audit, ENTRY, "here").changes()
    assert list(changes) == ["base", "full", "full-unbiased"]
    places = {"confounders.video": "v", "confounders.query": "q", "dataset": "biased"}
    assert changes["base"] == {**places, "method": "cpl"}
    assert changes["full-unbiased"] == {"dataset": "fair", "confounders.video": "v", "confounders.query": "r"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"base": "none"}, "no none"),
        ({"full": "base"}, "both base"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"measures": []}, "measures"),
        ({"chance": "random"}, "a number or one of numbers"),
        ({"splits": {"interventional": "iid"}}, "splits: .*iid and interventional are both 'iid'"),
        ({"splits": {"reversed": "interventional"}}, "interventional and reversed are both 'interventional'"),
        ({"unbiased": DATA}, "another data set"),
        ({"confidence": 1.0}, "confidence"),
        ({"variants": {"base": {}, "full": {}, "full-unbiased": {}}}, "name of a twin"),
        ({"variants": {"base": {}, "full": {}, "evidence": {}}}, "names of controls"),
        ({"sweep": {"over": "x", "fields": [], "strengths": [0.1], "seeds": [0]}}, "fields: expected at least one"),
        ({"sweep": {"over": "x", "fields": ["y"], "strengths": [0.1, 0.1], "seeds": [0]}}, "must be distinct"),
    ],
)
def test_what_makes_no_sense_is_refused(change, told):
    with pytest.raises(ParamsError, match=told):
        parse(Audit, ENTRY | change, "here")


def test_a_control_is_base_that_sees_a_part_and_the_scene_has_a_twin():
    changes = parse(Audit, ENTRY | {"controls": ["scene-only", "evidence"], "twins": []}, "here").changes()
    assert list(changes) == ["base", "full", "scene-only", "evidence", "scene-only-unbiased"]
    assert (changes["evidence"]["method"], changes["evidence"]["features.shown"]) == ("cpl", "evidence")
    assert (changes["scene-only-unbiased"]["dataset"], changes["scene-only-unbiased"]["features.shown"]) == ("fair", "average")


def test_a_sweep_trains_base_and_full_alone():
    sweep = {"over": "bias", "fields": ["planted.scene_bias"], "strengths": [0.0], "seeds": [4]}
    more = {"variants": ENTRY["variants"] | {"other": {}}, "controls": ["evidence"], "sweep": sweep}
    one = parse(Audit, ENTRY | more, "here").at_strength()
    assert (list(one.changes()), one.seeds) == (["base", "full"], (4,))


def test_defaults_name_the_three_splits_of_the_planted_world():
    assert parse(Audit, ENTRY, "here").splits.names() == ("iid", "interventional", "reversed")
    assert parse(Audit, ENTRY | {"splits": {"reversed": None}}, "here").splits.names() == ("iid", "interventional")


def test_a_variant_puts_values_into_the_run_by_dotted_path(project_params):
    text, run = run_alone(project_params, "ccr-planted", {"model.counterfactual": "average", "optim.lr": 1e-5, "seed": 3})
    assert (run.model.counterfactual, run.optim.lr, run.seed) == ("average", 1e-5, 3)
    again = project_params.with_name("again.yaml")
    again.write_text(text)
    same, _ = run_alone(again, "ccr-planted", {})
    assert same == text


def test_a_value_that_the_run_cannot_have_is_an_error_with_its_place(project_params):
    with pytest.raises(ParamsError, match=r"runs\.ccr-planted\.model: unknown key 'counterfactuel'; did you mean"):
        run_alone(project_params, "ccr-planted", {"model.counterfactuel": "average"})
    with pytest.raises(ParamsError, match="seed is a value"):
        run_alone(project_params, "ccr-planted", {"seed.of": 1})


def test_all_audits_of_the_project_are_runs_that_can_be_trained(project_params):
    audits = load_params(project_params, methods=False).audits
    assert audits
    runs = {}  # variants that several audits share are tried once
    for audit in audits.values():
        for changes in audit.changes().values():
            key = audit.run, json.dumps(changes, sort_keys=True)
            if key not in runs:
                runs[key] = run_alone(project_params, audit.run, changes)[1]
            assert set(audit.splits.names()) <= set(runs[key].evaluate.splits)
            assert asdict(runs[key].confounders).keys() == {"video", "query"}
            assert set(audit.measures) <= set(load_task(load_method(runs[key].method).Model.TASK).MEASURES)
