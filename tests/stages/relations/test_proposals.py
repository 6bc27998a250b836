"""Segments, proposals and their labels."""

import numpy as np
import pytest

from stages.datasets.relation_schema import SEGMENT, proposal_columns, proposal_rows, segment_begins, viou
from stages.features.store import StoreError
from stages.relations.proposals import Detections, Proposals, for_training, labels_of, training_begins, vious, whole_video
from tests.stages.relations.making import CLASSES, PREDICATES, WIDTH, proposed, sample, stores, track


def test_segments_of_a_whole_video():
    assert list(segment_begins(0, 29)) == []
    assert list(segment_begins(0, 30)) == [0]
    assert list(segment_begins(0, 75)) == [0, 15, 30, 45]
    assert list(segment_begins(10, 64)) == [10, 25]


def test_training_cuts_every_labelled_duration_by_itself():
    one = sample(90, relations=((0, 1, 10, 60), (1, 0, 15, 45), (0, 1, 0, 20)), predicates=("chase", "see", "see"))
    assert training_begins(one) == [10, 15, 25]


def test_columns_of_a_row_come_back():
    present = np.array([[1.0] * 29 + [0.0]])
    rows = proposal_rows(np.array([15]), present, track(3, SEGMENT)[None], np.array([[0.25, 0.75]]))
    begin, there, boxes, scores = proposal_columns(rows)
    assert begin.tolist() == [15]
    assert there[0].sum() == 29
    np.testing.assert_array_equal(boxes[0], track(3, SEGMENT))
    assert scores.tolist() == [[0.25, 0.75]]


def test_overlaps_of_many_are_those_of_single_pairs():
    generator = np.random.default_rng(0)
    corner = generator.integers(0, 20, (5, 6, 2))
    boxes = np.concatenate((corner, corner + generator.integers(0, 20, (5, 6, 2))), axis=2).astype(float)
    there = np.ones((5, 6), dtype=bool)
    found = vious(boxes[:2], there[:2], boxes[2:], there[2:])
    expected = [[viou(one, other, 0, 0) for other in boxes[2:]] for one in boxes[:2]]
    np.testing.assert_allclose(found, expected)


def test_frames_without_the_object_count_as_empty():
    there = np.array([[True, True, False]])
    boxes = track(0, 3)[None]
    assert vious(boxes, there, boxes, np.ones((1, 3), bool))[0, 0] == pytest.approx(2 / 3)
    assert vious(boxes, ~there & False, boxes, there)[0, 0] == 0


def test_missing_frames_show_the_box_of_the_nearest():
    present = np.zeros((1, SEGMENT), dtype=bool)
    present[0, [4, 8]] = True
    boxes = track(0, SEGMENT)[None] * present[..., None]
    left = Detections(boxes, present, np.ones((1, 1))).filled()[0, :, 0]
    assert left[:10].tolist() == [4, 4, 4, 4, 4, 4, 4, 8, 8, 8]
    assert left[-1] == 8


@pytest.fixture
def pair(tmp_path):
    rows = np.concatenate((proposed(0, 0, 100, 103), proposed(15, 0, 100)))
    return Proposals(*stores(tmp_path, {"v1": rows, "v2": proposed(0, 0, 100)}))


def test_segments_know_their_rows(pair):
    segments = pair.segments("v1")
    assert [(begin, one.first, one.count) for begin, one in segments.items()] == [(0, 0, 3), (15, 3, 2)]
    assert [one.begin for one in whole_video(sample(), segments)] == [0, 15]
    assert pair.detections(segments[15]).boxes[0, 0].tolist() == [15, 0, 24, 9]
    assert pair.classes == 2


def test_appearance_belongs_to_the_same_proposals_and_has_length_one(pair):
    looks = pair.looks(pair.segments("v1")[15])
    first = np.arange(3 * 10 * WIDTH + 1, 3 * 10 * WIDTH + WIDTH + 1)
    assert looks.shape == (2, 10, WIDTH)
    np.testing.assert_allclose(looks[0, 0], first / np.linalg.norm(first), rtol=1e-4)


def test_labels_need_both_objects_and_the_whole_segment(pair):
    one = sample(relations=((0, 1, 0, 45), (1, 0, 0, 30)), predicates=("chase", "see"))
    found = labels_of(one, 0, pair.detections(pair.segments("v1")[0]), CLASSES, PREDICATES)
    assert found.classes.tolist() == [1, 0, 0]
    assert found.relations.tolist() == [[0, 1, 0], [0, 2, 0], [1, 0, 1], [2, 0, 1]]
    later = labels_of(one, 15, pair.detections(pair.segments("v1")[15]), CLASSES, PREDICATES)
    assert later.relations.tolist() == [[0, 1, 0]]


def test_a_proposal_far_from_everything_is_nothing(tmp_path):
    alone = Proposals(*stores(tmp_path, {"v1": proposed(0, 0, 300)}))
    found = labels_of(sample(), 0, alone.detections(alone.segments("v1")[0]), CLASSES, PREDICATES)
    assert found.classes.tolist() == [1, -1]
    assert len(found.relations) == 0


def test_segments_without_proposals_are_counted(pair):
    found, missing = for_training([sample(), sample(60, relations=((0, 1, 0, 60),), video="v2")], pair)
    assert [(segment.video_id, segment.begin) for _, segment in found] == [("v1", 0), ("v1", 15), ("v2", 0)]
    assert missing == 2


def test_stores_that_do_not_belong_together_are_refused(tmp_path):
    rows = {"v1": proposed(0, 0, 100)}
    broken = Proposals(*stores(tmp_path, rows, {"v1": np.ones((7, WIDTH), np.float32)}))
    with pytest.raises(StoreError, match="'v1': 7 rows, expected 20: 10 of each of its proposals"):
        broken.segments("v1")
    with pytest.raises(StoreError, match="proposals need 151 and class scores"):
        Proposals(broken.appearance, broken.proposals)


def test_proposals_out_of_time_are_refused(tmp_path):
    rows = np.concatenate((proposed(15, 0, 100), proposed(0, 0, 100)))
    with pytest.raises(StoreError, match="not sorted by the first frame"):
        Proposals(*stores(tmp_path, {"v1": rows})).segments("v1")
