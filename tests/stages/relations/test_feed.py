"""Batches of segments, and what is said about whole videos."""

import numpy as np
import pytest
import torch

from models.batch import PairScores
from stages.relations.feed import RelationFeed, ordered_pairs
from stages.relations.inference import Videos, frequencies
from stages.relations.proposals import Proposals, for_training
from stages.relations.settings import RelationEvaluate
from stages.relations.vocabulary import Vocabulary
from tests.stages.relations.making import CLASSES, PREDICATES, WIDTH, proposed, sample, stores

NAMES = Vocabulary(
    ("cat", "dog"), ("chase", "see"), {"chase": 3, "see": 1}, {("dog", "chase", "cat"): 3, ("dog", "see", "cat"): 1}
)
SETTINGS = RelationEvaluate(
    splits=("test",), batch_size=2, per_pair=4, per_segment=8, associated=8, first_score_one=False, kept=None, decimals=1,
    recall_at=(1,), head_share=0.5, tail_below=2, submission=False, primary=(), published=None, examples=1,
)  # fmt: skip


@pytest.fixture
def pair(tmp_path):
    rows = np.concatenate((proposed(0, 0, 100, 103), proposed(15, 0, 100)))
    return Proposals(*stores(tmp_path, {"v1": rows}))


@pytest.fixture
def feed(pair):
    return RelationFeed(for_training([sample()], pair)[0], pair, classes=CLASSES, predicates=PREDICATES)


def test_pairs_are_ordered_and_of_two():
    assert ordered_pairs(3).tolist() == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    assert len(ordered_pairs(1)) == 0


def test_a_batch_is_padded_to_its_largest_segment(feed):
    batch = feed.batch(np.array([1, 0]))
    assert len(batch) == 2
    assert batch.appearance.shape == (2, 3, 10, WIDTH)
    assert batch.proposals_mask.tolist() == [[True, True, False], [True, True, True]]
    assert batch.pairs_mask.sum(dim=1).tolist() == [2, 6]
    assert batch.object_class.tolist() == [[1, 0, -1], [1, 0, 0]]
    assert batch.boxes[0, 0, 1].tolist() == [18, 0, 27, 9]  # frame 3 of the segment that begins at 15
    assert batch.frame.tolist() == [[320, 240]] * 2


def test_labels_stand_at_their_pairs(feed):
    batch = feed.batch(np.array([0, 1]))
    for row in range(2):
        labelled = batch.pairs[row][batch.labels[row].any(dim=-1)].tolist()
        assert labelled == [[[0, 1], [0, 2]], [[0, 1]]][row]
    assert batch.labels[0, :, 1].sum() == 0


def test_without_targets_nothing_is_told(feed):
    batch = feed.batch(np.array([0]), targets=False)
    assert batch.labels is None
    assert batch.object_class is None


def test_names_say_video_and_frame(feed):
    assert feed.names(np.array([1])) == ["v1-0015"]


class Sure:
    """Says that the first of two proposals chases the second, and what the detector says."""

    def __call__(self, batch, _draws):
        return batch

    def decode(self, output, batch):
        out = []
        for row in range(len(batch)):
            pairs = output.pairs[row][output.pairs_mask[row]]
            chases = ((pairs[:, 0] == 0) & (pairs[:, 1] == 1)).float()
            scores = torch.stack((0.9 * chases + 0.01, torch.full_like(chases, 0.02)), dim=1)
            out.append(PairScores(objects=output.detector[row][output.proposals_mask[row]], pairs=pairs, predicates=scores))
        return out


def test_relations_of_a_video_are_joined_over_its_segments(pair):
    videos = Videos([sample(), sample(video="v9")], pair, NAMES)
    scores = videos.scores(Sure(), batch_size=1, device=torch.device("cpu"), label="test")
    found = videos.relations(scores, SETTINGS)
    assert found["v9"] == []
    best = found["v1"][0]
    assert best.triplet == ("dog", "chase", "cat")
    assert (best.first, best.end) == (0, 45)
    assert best.score == pytest.approx(0.9 * 0.91 * 0.8)
    np.testing.assert_array_equal(best.subject, sample().truth()[0].subject)
    truth, first = videos.right_pairs(scores)
    assert truth.tolist() == [0, 0, 0]
    assert first.tolist() == [0, 1, 0]


def test_frequencies_are_those_of_the_class_pair(pair):
    np.testing.assert_allclose(frequencies(NAMES)[1, 0], [0.75, 0.25])
    np.testing.assert_allclose(frequencies(NAMES)[0, 0], [0.5, 0.5])
    guess = Videos([sample()], pair, NAMES).guesses()[1]
    expected = 0.9 * 0.8 * np.array([0.75, 0.25]) + (1 - 0.9 * 0.8) * 0.5
    np.testing.assert_allclose(guess.predicates[0], expected, rtol=1e-5)


def test_a_vocabulary_comes_back_from_a_run(tmp_path):
    (tmp_path / "relations.json").write_bytes(NAMES.content())
    assert Vocabulary.read(tmp_path) == NAMES


@pytest.mark.parametrize(
    ("changed", "message"), [({"recall_at": (0,)}, "at least 1"), ({"kept": 1, "recall_at": (2,)}, "kept is 1")]
)
def test_settings_that_make_no_sense_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        RelationEvaluate(**{**vars(SETTINGS), **changed})
