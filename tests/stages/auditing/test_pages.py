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
        "full is better than base by 5.0 (2.0 to 8.0) points where the biases are cut.",
        "The gap of full is not told from that of base: 1.0 (-2.0 to 4.0) points.",
        "Of the gain of full, 0.5 (-1.0 to 2.0) points are not there after training without bias: "
        "nothing says that it is debiasing.",
    ]


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
