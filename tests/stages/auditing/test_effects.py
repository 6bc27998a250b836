"""Gaps and gains by hand, properties of their intervals, and how often these contain the true value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import bootstrap

from stages.auditing.effects import COVERED, effects, estimate
from stages.auditing.outcomes import Aligned
from stages.auditing.settings import Audit
from stages.params import parse
from tests.stages.auditing.test_settings import ENTRY


def audit(**more):
    return parse(Audit, ENTRY | {"twins": [], "splits": {"reversed": None}, "resamples": 400} | more, "here")


def aligned(values, seeds=(0, 1)):
    """values: {(variant, split): (S, Q)} of the measure IoU."""
    queries = {split: [f"{split}{n}" for n in range(np.shape(rows)[1])] for (_, split), rows in values.items()}
    return Aligned(tuple(seeds), queries, {key: {"IoU": np.array(rows, float)} for key, rows in values.items()})


def by_name(found):
    return {effect.name: effect for effect in found}


BY_HAND = {
    ("base", "iid"): [[100, 100, 0], [100, 100, 0]],
    ("base", "interventional"): [[0, 0], [0, 100]],
    ("full", "iid"): [[100, 0, 0], [100, 0, 0]],
    ("full", "interventional"): [[0, 100], [100, 100]],
}


def test_levels_gaps_and_gains_by_hand():
    found = by_name(effects(audit(), aligned(BY_HAND)))
    assert found["base.iid.IoU"].value == pytest.approx(200 / 3)
    assert found["base.gap.IoU"].value == pytest.approx(200 / 3 - 25)
    assert found["full.gain.IoU"].value == pytest.approx(50)
    assert found["full.gain.IoU"].seed_sd == pytest.approx(0)
    assert found["full.narrowing.IoU"].value == pytest.approx((200 / 3 - 25) - (100 / 3 - 75))
    assert "base.gain.IoU" not in found
    assert found["base.gap.IoU"].queries == 5


def test_an_ablation_has_a_part_and_twins_have_what_is_beyond_them():
    values = BY_HAND | {("less", "iid"): [[0, 0, 0]] * 2, ("less", "interventional"): [[0, 0]] * 2}
    values |= {(f"{name}-unbiased", split): rows for (name, split), rows in BY_HAND.items()}
    settings = audit(variants=ENTRY["variants"] | {"less": {"method": "ccr"}}, twins=["base", "full"])
    found = by_name(effects(settings, aligned(values)))
    assert found["less.part.IoU"].value == pytest.approx(75)
    assert found["full.gap beyond twin.IoU"].value == pytest.approx(0)
    assert found["full.gain beyond twin.IoU"].value == pytest.approx(0)
    assert "full-unbiased.gain.IoU" not in found


def test_a_variant_with_the_same_outcomes_gains_exactly_nothing():
    rows = np.random.default_rng(0).integers(0, 2, (2, 40)) * 100
    values = {(name, split): rows for name in ("base", "full") for split in ("iid", "interventional")}
    gain = by_name(effects(audit(), aligned(values)))["full.gain.IoU"]
    assert (gain.value, gain.low, gain.high) == (0, 0, 0)


def test_queries_without_a_number_do_not_count():
    values = {("full", "interventional"): [[0, np.nan, 100], [0, 50, 100]]}
    value, *_, count = estimate(aligned(values), "IoU", {("full", "interventional"): 1.0}, audit())
    assert (value, count) == (50, 2)
    assert estimate(aligned(values), "other", {("full", "interventional"): 1.0}, audit()) is None


def test_with_one_seed_the_interval_is_that_of_the_queries():
    rows = np.random.default_rng(1).normal(size=(1, 60))
    _, low, high, sd, _ = estimate(aligned({("full", "iid"): rows}, [0]), "IoU", {("full", "iid"): 1.0}, audit(resamples=4000))
    plain = bootstrap(
        (rows[0],), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(2)
    ).confidence_interval
    assert (low, high) == pytest.approx((plain.low, plain.high), abs=0.03)
    assert np.isnan(sd)


def test_seeds_that_disagree_widen_the_interval():
    queries = np.random.default_rng(3).normal(size=200)
    width = {}
    for name, shift in (("agree", 0.0), ("disagree", 1.0)):
        rows = np.stack([queries + shift * seed for seed in (-1, 0, 1)])
        _, low, high, _, _ = estimate(aligned({("full", "iid"): rows}, [0, 1, 2]), "IoU", {("full", "iid"): 1.0}, audit())
        width[name] = high - low
    assert width["disagree"] > 3 * width["agree"]


def coverage(seeds, spread, repeats=300, queries=60):
    """Percent of 95 % intervals that contain the true value, 0; spread: deviation over seeds / standard error over queries."""
    draws, terms = np.random.default_rng(0), {("full", "iid"): 1.0}
    hits = 0
    for _ in range(repeats):
        rows = draws.normal(size=(1, queries)) + spread / np.sqrt(queries) * draws.normal(size=(seeds, 1))
        _, low, high, *_ = estimate(aligned({("full", "iid"): rows}, range(seeds)), "IoU", terms, audit(resamples=300))
        hits += low <= 0 <= high
    return 100 * hits / repeats


@pytest.mark.parametrize(("place", "spread"), [(0, 1), (1, 2), (-1, 20)])
@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_over_few_seeds_cover_the_truth_as_often_as_the_table_says(seeds, place, spread):
    assert coverage(seeds, spread) == pytest.approx(COVERED[seeds][place], abs=4)


def test_the_same_seed_of_the_bootstrap_gives_the_same_interval():
    values = aligned({("full", "iid"): np.random.default_rng(4).normal(size=(2, 30))})
    first, again, other = (estimate(values, "IoU", {("full", "iid"): 1.0}, audit(bootstrap_seed=seed))[1:3] for seed in (5, 5, 6))
    assert first == again != other


@given(arrays(float, (2, 6), elements=st.floats(0, 100)), st.floats(-50, 50))
def test_a_gain_moves_with_the_outcomes(rows, shift):
    values = aligned({("full", "interventional"): rows + shift, ("base", "interventional"): rows})
    terms = {("full", "interventional"): 1.0, ("base", "interventional"): -1.0}
    value, low, high, *_ = estimate(values, "IoU", terms, audit(resamples=100))
    assert (value, low, high) == pytest.approx((shift,) * 3, abs=1e-9)
