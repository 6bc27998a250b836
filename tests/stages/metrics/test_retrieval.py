import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import scoring
from stages.metrics.records import IdsDifferError, InputError, NotApplicableError
from stages.metrics.retrieval import evaluate
from tests.stages.metrics.making import awkward, columns, predicted, true


def has_nan(value):
    return any(map(has_nan, value.values())) if isinstance(value, dict) else isinstance(value, float) and math.isnan(value)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(st.integers(0, 10**9), st.sampled_from(["moment_detr", "lighthouse", "vtg", "vtg_by_record", "ratsg"]))
@settings(max_examples=120, deadline=None)
def test_array_form_equals_a_loop_over_queries_thresholds_and_windows(seed, profile):
    predictions, truth, relevance = awkward(seed)
    if profile in ("vtg_by_record", "ratsg") and not relevance:
        return
    try:
        ours = evaluate(*columns(predictions, truth), profile)
    except NotApplicableError:
        return
    with np.errstate(all="ignore"):
        loop = scoring.score(predictions, truth, profile)
    assert scoring.largest_difference(ours, loop) < 1e-10


def full(predictions, truth, profile="vtg", **more):
    return evaluate(*columns(predictions, truth), profile, **more)["full"]


def test_a_perfect_window_scores_one_hundred_everywhere():
    values = full([predicted(1, (5, 9, 0.5))], [true(1, (5, 9))])
    assert values["MR-mAP"]["average"] == 100
    assert set(values["MR-R1"].values()) == {100.0}
    assert values["MR-mIoU"] == 100


def test_rank_one_is_the_first_window_of_the_file_and_corrected_the_best_scored_one():
    sides = [predicted(1, (50, 60, 0.1), (5, 9, 0.9))], [true(1, (5, 9))]
    assert full(*sides)["MR-R1"]["0.5"] == 0
    assert full(*sides, corrected=True)["MR-R1"]["0.5"] == 100
    assert full(*sides)["MR-mAP"]["average"] == 100


def test_average_precision_takes_the_first_ten_windows_before_sorting_and_corrected_the_ten_best():
    wrong = [(100 + n, 101 + n, 0.1) for n in range(10)]
    sides = [predicted(1, *wrong, (5, 9, 0.9))], [true(1, (5, 9))]
    assert full(*sides)["MR-mAP"]["average"] == 0
    assert full(*sides, corrected=True)["MR-mAP"]["average"] == 100


def test_a_window_is_taken_once_per_threshold():
    values = full([predicted(1, (0, 10, 0.9), (0, 10, 0.8), (20, 30, 0.7))], [true(1, (0, 10), (20, 30))])
    assert values["MR-mAP"]["0.5"] == pytest.approx(100 * (0.5 * 1 + 0.5 * 2 / 3))


def test_equal_overlaps_take_the_last_true_window():
    # (0, 10) overlaps both (0, 12) and (-2, 10) by 10/12; taking the last leaves (0, 12) for the second prediction
    values = full([predicted(1, (0, 10, 0.9), (0, 12, 0.8))], [true(1, (0, 12), (-2, 10))])
    assert values["MR-mAP"]["0.95"] == pytest.approx(100 * 0.5 * 0.5)
    assert values["MR-mAP"]["0.8"] == 100


def test_equal_windows_without_length_match_perfectly_and_corrected_not_at_all():
    sides = [predicted(1, (7, 7, 0.9))], [true(1, (7, 7))]
    assert full(*sides)["MR-mAP"]["average"] == 100
    assert full(*sides, corrected=True)["MR-mAP"]["average"] == 0
    assert full(*sides)["MR-mIoU"] == 0


def test_reversed_windows_go_through_the_formulas_as_they_are_and_corrected_overlap_nothing():
    sides = [predicted(1, (9, 5, 0.9))], [true(1, (5, 9))]
    assert full(*sides)["MR-mAP"]["average"] == 100, "4 s and -4 s make a union of nothing: 0/0"
    assert full(*sides)["MR-mIoU"] == 0
    assert full(*sides, corrected=True)["MR-mAP"]["average"] == 0


def test_an_empty_range_holds_everything_in_vtg_nothing_corrected_and_fails_in_moment_detr():
    sides = columns([predicted(1, (0, 5, 0.9))], [true(1, (0, 5))])
    values = evaluate(*sides, "vtg")
    assert values["long"] == values["full"]
    assert evaluate(*sides, "vtg", corrected=True)["brief"]["MR-long-mAP"] is None
    with pytest.raises(NotApplicableError, match=r"t\.jsonl: no window is over 10 and up to 30 s long"):
        evaluate(*sides, "moment_detr")


def test_lighthouse_really_filters_its_full_range():
    sides = columns([predicted(1, (0, 5, 0.9)), predicted(2, (0, 5, 0.9))], [true(1, (0, 5)), true(2, (3, 3))])
    assert evaluate(*sides, "lighthouse")["full"]["MR-R1"]["0.5"] == 100
    assert evaluate(*sides, "vtg")["full"]["MR-R1"]["0.5"] == 50


def test_repeated_ids_pool_windows_for_precision_and_keep_the_last_record_for_recall():
    predictions = [predicted(1, (0, 10, 0.9)), predicted(1, (50, 60, 0.8))]
    truth = [true(1, (0, 10)), true(1, (80, 90))]
    values = full(predictions, truth)
    assert values["MR-R1"]["0.5"] == 0, "last prediction against last truth"
    assert values["MR-mAP"]["0.5"] == 50, "two windows pooled on either side, one found"


def test_corrected_values_tell_repeated_ids_apart_by_video_and_refuse_repeated_pairs():
    predictions = [{**predicted(1, (0, 10, 0.9)), "vid": "a"}, {**predicted(1, (80, 90, 0.8)), "vid": "b"}]
    truth = [{**true(1, (80, 90)), "vid": "b"}, {**true(1, (0, 10)), "vid": "a"}]
    assert full(predictions, truth, corrected=True)["MR-R1"]["0.5"] == 100
    with pytest.raises(InputError, match=r"p\.jsonl: line 2: qid 1: this \(vid, qid\) occurs before"):
        full([predictions[0]] * 2, truth, corrected=True)


def test_strict_ids_list_both_differences_and_an_id_is_not_its_text():
    sides = columns([predicted(1, (0, 1, 1)), predicted("2", (0, 1, 1))], [true(1, (0, 1)), true(2, (0, 1))])
    with pytest.raises(IdsDifferError) as refused:
        evaluate(*sides, "vtg")
    assert (refused.value.missing, refused.value.unknown) == ([2], ["2"])
    assert evaluate(*sides, "vtg", strict=False)["brief"]["MR-full-R1@0.5"] == 100


def test_the_order_of_records_does_not_matter():
    predictions = [predicted(n, (n, n + 4, 0.5), (n, n + 7, 0.4)) for n in range(6)]
    truth = [true(n, (n + 1, n + 6), (20, 30)) for n in range(6)]
    shuffled = [truth[n] for n in (3, 1, 5, 0, 4, 2)]
    for corrected in (False, True):
        assert full(predictions, truth, corrected=corrected) == full(predictions, shuffled, corrected=corrected)


def rf(predictions, truth, profile, **more):
    return evaluate(*columns(predictions, truth), profile, **more)


RF_PREDICTIONS = [
    {**predicted(1, (0, 10, 0.9)), "vid": "a", "relavent_score": 0.9},
    {**predicted(1, (0, 10, 0.9)), "vid": "b", "relavent_score": 0.5},
    {**predicted(2, (0, 10, 0.9)), "vid": "c", "relavent_score": 0.2},
    {**predicted(2, (0, 10, 0.9)), "vid": "d", "relavent_score": 0.8},
]
RF_TRUTH = [
    {**true(1, (0, 10)), "vid": "a", "no_answer": False},
    {**true(1, (0, 0.001)), "vid": "b", "no_answer": True},
    {**true(2, (0, 10)), "vid": "c", "no_answer": False},
    {**true(2, (0, 0.001)), "vid": "d", "no_answer": True},
]


def test_one_half_says_no_answer_and_accuracy_is_a_fraction():
    assert rf(RF_PREDICTIONS, RF_TRUTH, "vtg")["brief"]["No-Answer-Acc"] == 0.5


def test_a_relevance_that_is_no_number_is_refused_as_it_stands_there_and_may_be_missing():
    first, *rest = RF_PREDICTIONS
    with pytest.raises(InputError, match=r'line 1: qid 1: relavent_score: expected a finite number, got "0\.9"$'):
        rf([{**first, "relavent_score": "0.9"}, *rest], RF_TRUTH, "vtg")
    without = {key: value for key, value in rest[0].items() if key != "relavent_score"}
    assert rf([first, without, *rest[1:]], RF_TRUTH, "vtg")["brief"]["No-Answer-Acc"] == 1 / 3


def test_unanswerable_pairs_last_record_per_id_all_records_and_ratsg():
    by_id = rf(RF_PREDICTIONS, RF_TRUTH, "vtg")["brief"]
    by_record = rf(RF_PREDICTIONS, RF_TRUTH, "vtg_by_record")["brief"]
    ratsg = rf(RF_PREDICTIONS, RF_TRUTH, "ratsg")
    assert by_id["MR-full-R1@0.5"] == 50, "only records b (right) and d (wrong) are looked at"
    assert by_record["MR-full-R1@0.5"] == 50, "a and b right, c and d wrong"
    assert by_record["MR-full-mIoU"] == pytest.approx(50 + 100 * 2 * 0.0001 / 4), "the placeholder overlaps windows from 0"
    assert ratsg["mIoU"] == 50
    assert (ratsg["Acc"], ratsg["Acc-answerable"], ratsg["Acc-unanswerable"], ratsg["n"]) == (50, 50, 50, 4)


def test_corrected_rejections_count_one_or_nothing_and_stay_out_of_length_ranges():
    brief = rf(RF_PREDICTIONS, RF_TRUTH, "vtg", corrected=True)["brief"]
    assert brief["MR-full-mIoU"] == 50
    assert brief["MR-short-mIoU"] == 50, "records a and c alone"


def test_corrected_accuracy_pairs_records_whatever_their_order():
    mixed = [RF_TRUTH[n] for n in (1, 0, 2, 3)]
    assert rf(RF_PREDICTIONS, mixed, "vtg", corrected=True) == rf(RF_PREDICTIONS, RF_TRUTH, "vtg", corrected=True)
    assert rf(RF_PREDICTIONS, mixed, "ratsg") == rf(RF_PREDICTIONS, RF_TRUTH, "ratsg")
    assert rf(RF_PREDICTIONS, mixed, "vtg")["brief"]["No-Answer-Acc"] == 0, "as in the reference, by position"


def test_ratsg_refuses_what_it_would_divide_by_zero_for():
    with pytest.raises(NotApplicableError, match=r"line 1: qid 1: pred_relevant_windows\[0\]: no length"):
        rf(
            [{**RF_PREDICTIONS[0], "pred_relevant_windows": [[3, 3, 1]]}],
            [{**RF_TRUTH[0], "relevant_windows": [[3, 3]]}],
            "ratsg",
        )
    with pytest.raises(NotApplicableError, match="no unanswerable record"):
        rf(RF_PREDICTIONS[:1], RF_TRUTH[:1], "ratsg")


def test_rated_highlights_are_scored_and_unrated_ones_only_asked_for_where_the_reference_would_crash():
    one = predicted(1, (0, 10, 0.9), pred_saliency_scores=[0.1, 0.9])
    assert "HL-min-Fair-mAP" not in rf([one], [true(1, (0, 10), duration=4)], "vtg")["brief"]
    rated = true(1, (0, 10), duration=4, relevant_clip_ids=[1], saliency_scores=[[4, 4, 0]])
    brief = rf([one], [rated], "vtg")["brief"]
    assert brief["HL-min-Fair-mAP"] == pytest.approx(100 * 2 / 3)
    assert brief["HL-min-Fair-Hit1"] == 100
    with pytest.raises(NotApplicableError, match="highlights cannot be scored"):
        rf([one], [true(1, (0, 10), duration=4)], "lighthouse")
