"""Candidates of a segment, and their way to relations of a video: the worked example, and what must hold."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.relations.association import Candidate, Found, associate, candidates, named

A, SHIFTED, OTHER = [0, 0, 9, 9], [1, 0, 10, 9], [50, 0, 69, 19]
TRIPLET = (0, 1, 2)


def segment(begin, frames, *found):
    """`found`: (score, subject box), all of one triplet and with the object OTHER."""
    boxes = np.array([[box] * frames for box in [*(subject for _, subject in found), OTHER]], dtype=float)
    return Found(begin, boxes, [Candidate(TRIPLET, score, place, len(found)) for place, (score, _) in enumerate(found)])


EXAMPLE = [
    segment(0, 4, (0.8, A)),
    segment(2, 4, (0.6, SHIFTED), (0.5, A)),
    segment(4, 4, (0.4, A)),
    segment(8, 4, (0.9, A)),
]


def spans(relations):
    return sorted((first, first + len(subject), round(score, 6)) for _, score, first, subject, _ in relations)


def test_the_example_of_the_page():
    relations = associate(EXAMPLE, per_segment=100)
    assert spans(relations) == [(0, 8, 0.6), (2, 6, 0.5), (8, 12, 0.9)]
    (subject, other) = next((subject, other) for _, _, first, subject, other in relations if first == 0)
    mean = [0.5, 0, 9.5, 9]
    assert subject.tolist() == [A, A, mean, mean, mean, mean, A, A]
    assert other.tolist() == [OTHER] * 8


def test_the_example_with_the_published_first_score():
    relations = associate(EXAMPLE, per_segment=100, first_score_one=True)
    assert spans(relations) == [(0, 6, 0.7), (2, 8, 0.7), (8, 12, 1.0)]


def test_best_relations_come_first():
    assert [score for _, score, *_ in associate(EXAMPLE, per_segment=100)] == pytest.approx([0.9, 0.6, 0.5])


def test_another_triplet_extends_nothing():
    second = segment(2, 4, (0.6, A))
    second = Found(2, second.boxes, [Candidate((0, 2, 2), 0.6, 0, 1)])
    assert len(associate([EXAMPLE[0], second], per_segment=100)) == 2


def test_boxes_that_share_less_than_half_extend_nothing():
    assert len(associate([EXAMPLE[0], segment(2, 4, (0.6, [5, 0, 14, 9]))], per_segment=100)) == 2


def test_extending_one_relation_leaves_another_with_the_same_objects_alone():
    first = Found(0, EXAMPLE[0].boxes, [Candidate((0, p, 2), 0.8, 0, 1) for p in (1, 2)])
    found = associate([first, segment(2, 4, (0.6, SHIFTED))], per_segment=100)
    assert {(triplet[1], len(subject)) for triplet, _, _, subject, _ in found} == {(1, 6), (2, 4)}


def test_only_the_best_of_a_segment_are_used():
    assert spans(associate([segment(0, 4, (0.6, A), (0.5, OTHER))], per_segment=1)) == [(0, 4, 0.6)]


def test_relations_get_their_names():
    (relation,) = named(associate([EXAMPLE[0]], per_segment=1), ["dog", "cat", "cow"], ["see", "chase"])
    assert relation.triplet == ("dog", "chase", "cow")
    assert (relation.first, relation.end, relation.score) == (0, 4, 0.8)


def every_product(objects, pairs, predicates, per_pair):
    """The same by trying all of them."""
    found = []
    for place, (subject, other) in enumerate(pairs):
        products = [
            objects[subject, s] * predicates[place, p] * objects[other, o]
            for s, p, o in itertools.product(range(objects.shape[1]), range(predicates.shape[1]), range(objects.shape[1]))
        ]
        found += sorted(products, reverse=True)[:per_pair]
    return sorted(found, reverse=True)


@given(seed=st.integers(0, 10_000), per_pair=st.integers(1, 20))
def test_candidates_are_the_best_products(seed, per_pair):
    generator = np.random.default_rng(seed)
    objects, predicates = generator.dirichlet(np.ones(4), size=3), generator.random((6, 5))
    pairs = np.array(list(itertools.permutations(range(3), 2)))
    found = candidates(objects, pairs, predicates, per_pair=per_pair, per_segment=30)
    expected = every_product(objects, pairs, predicates, per_pair)[:30]
    np.testing.assert_allclose([one.score for one in found], expected)
    for one in found:
        place = pairs.tolist().index([one.subject, one.object])
        s, p, o = one.triplet
        assert one.score == pytest.approx(objects[one.subject, s] * predicates[place, p] * objects[one.object, o])


def test_a_single_proposal_makes_no_candidate():
    assert candidates(np.ones((1, 2)), np.empty((0, 2), int), np.empty((0, 3)), per_pair=3, per_segment=3) == []
