"""What a page of an audit says: claims only where the interval leaves 0 out."""

import math

from stages.auditing.effects import Effect
from stages.auditing.pages import controls, page, sentences
from stages.auditing.settings import Audit
from stages.params import parse
from tests.stages.auditing.test_settings import ENTRY


def effect(kind, variant, value, low, high, split=""):
    return Effect(kind, variant, split, "IoU", value, low, high, 0.5, 100)


FOUND = [
    effect("level", "base", 60.0, 58, 62, "iid"),
    effect("level", "base", 40.0, 38, 42, "interventional"),
    effect("gap", "base", 20.0, 17, 23),
    effect("gain", "full", 5.0, 2, 8),
    effect("narrowing", "full", 1.0, -2, 4),
    effect("gain beyond twin", "full", 0.5, -1, 2),
    effect("gap", "full-unbiased", 1.0, -1, 3),
]
AUDIT = parse(Audit, ENTRY, "here")


def test_every_claim_has_its_number_and_its_interval():
    assert list(sentences(AUDIT, FOUND)) == [
        "IoU, 2 seeds: base reaches 60.0 where the biases of training hold and 40.0 where they are cut, a gap of "
        "20.0 (17.0 to 23.0) points.",
        "full is better than base by 5.0 (2.0 to 8.0) points where the biases are cut; after training without bias it is 4.5, "
        "and the difference, 0.5 (-1.0 to 2.0), is not distinguishable from 0, so there is no evidence of debiasing.",
        "The gap of full is not distinguishable from that of base: 1.0 (-2.0 to 4.0) points.",
    ]


def test_the_page_says_how_often_its_intervals_contain_the_truth():
    told = {
        seeds: page("one", parse(Audit, ENTRY | {"seeds": list(range(seeds))}, "here"), "ccr", [], [], {})["coverage"]
        for seeds in (1, 3, 7)
    }
    assert told[1].startswith("One seed: the intervals are over queries alone")
    assert "with 3 seeds, about 92 of 100 contain the true value" in told[3]
    assert "with 7 seeds, about 93 of 100" in told[7]
    other = page("one", parse(Audit, ENTRY | {"confidence": 0.9}, "here"), "ccr", [], [], {})["coverage"]
    assert "less often than their confidence says" in other


def test_other_variants_share_a_sentence():
    more = parse(Audit, ENTRY | {"variants": {"base": {}, "full": {}, "a": {}, "b": {}}}, "here")
    found = [effect("gain", "a", 1.0, -1, 3), effect("gain", "b", -4.0, -6, -2)]
    assert list(sentences(more, found)) == [
        "Where the biases are cut, a is not distinguishable from base: 1.0 (-1.0 to 3.0); "
        "b is worse than base by 4.0 (2.0 to 6.0) points."
    ]


def test_a_control_that_fails_is_said():
    assert list(sentences(AUDIT, [effect("gap", "full-unbiased", 9.0, 6, 12)])) == [
        "Controls that are not as expected, so that the rest is doubtful: Gap of full, trained without bias."
    ]


def test_what_is_pointed_to_is_held_against_the_variant_without():
    found = [
        Effect("level", name, "interventional", "clip precision", value, 0, 1, 0, 9)
        for name, value in (("base", 22), ("full", 46))
    ]
    assert list(sentences(AUDIT, found)) == [
        "Share of the chosen clips that show the answer, where the biases are cut: of full 46.0 %, of base 22.0 %."
    ]


SWEEP = {"over": "scene bias", "fields": ["planted.scene_bias"], "strengths": [0.0, 0.5], "seeds": [0]}


def test_a_sweep_is_told_from_its_weakest_to_its_strongest_bias():
    audit = parse(Audit, ENTRY | {"sweep": SWEEP}, "here")
    points = [(at, effect("gap", "base", 20 * at, 20 * at - 3, 20 * at + 3)) for at in (0.8, 0.0, 0.5)]
    said = "From strength 0 of the bias to 0.8 the gap of base goes from 0.0 (-3.0 to 3.0) to 16.0 (13.0 to 19.0) points."
    assert list(sentences(audit, [], sweep_effects=points)) == [said]
    found = page("one", audit, "ccr", [], [], {}, points)
    assert found["sweep"]["over"] == "scene bias"
    assert [row["strength"] for row in found["sweep"]["rows"]] == [0.0, 0.5, 0.8]


def test_controls_of_what_a_model_sees():
    audit = parse(Audit, ENTRY | {"controls": ["scene-only", "question-only", "evidence"], "chance": 20.0}, "here")
    found = [
        effect("gap", "scene-only", 50.0, 45, 55),
        effect("against twin", "scene-only", -14.0, -18, -10),
        effect("level", "question-only", 21.0, 19, 23, "interventional"),
        effect("against base", "evidence", 18.0, 15, 21),
    ]
    assert [(one["expected"].split(",")[0], one["holds"]) for one in controls(audit, found)] == [
        ("above 0: it answers from the scene", True),
        ("below 0", True),
        ("chance", True),
        ("above 0", True),
    ]
    told = page("one", audit, "ccr", [], [], {})["variants"]
    assert told["question-only"] == "base, shown no video at all"
    assert told["scene-only-unbiased"] == "scene-only, trained on videos without bias"


def test_chance_is_a_number_of_the_evaluation_where_a_model_of_moments_sees_no_time():
    entry = ENTRY | {"controls": ["scene-only", "question-only"], "numbers": ["random"], "chance": "random"}
    numbers = [{"number": "random", "variant": "base", "split": split, "mean": mean} for split, mean in
               (("iid", 16.0), ("interventional", 10.3))]  # fmt: skip
    found = [
        effect("level", "scene-only", 11.0, 9, 13, "interventional"),
        effect("against twin", "scene-only", -2.0, -5, 1),
        effect("level", "question-only", 15.0, 13, 17, "interventional"),
    ]
    told = [(one["expected"], one["holds"]) for one in controls(parse(Audit, entry, "here"), found, numbers)]
    assert told == [("chance, 10.3", True), ("chance, 10.3", False)]


def test_controls_hold_where_bias_opens_the_gap_and_its_absence_closes_it():
    with_bias, without = controls(AUDIT, FOUND)
    assert (with_bias["holds"], without["holds"]) == (True, True)
    wide = [effect("gap", "base", 3.0, -1, 7), effect("gap", "full-unbiased", 9.0, 6, 12)]
    assert [one["holds"] for one in controls(AUDIT, wide)] == [False, False]


def test_what_is_not_told_is_null_on_the_page():
    found = page("one", AUDIT, "ccr", [effect("gap", "base", 3.0, math.nan, math.nan)], [], {})
    assert found["effects"][0]["low"] is None
    assert found["controls"][0]["holds"] is None
    assert found["variants"]["full-unbiased"] == "full, trained on videos without bias"
    assert found["unbiased"] == "fair"


def test_what_is_worse_is_said_to_be_worse_by_a_positive_number():
    said = list(sentences(AUDIT, [effect("gain", "full", -5.0, -8, -2), effect("narrowing", "full", -1.0, -3, -0.5)]))
    assert said[0] == "full is worse than base by 5.0 (2.0 to 8.0) points where the biases are cut."
    assert said[1] == "The gap of full is larger than that of base by 1.0 (0.5 to 3.0) points."
