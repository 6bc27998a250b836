import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.datasets.schema import MomentSample
from stages.features.resident import Fused
from stages.features.store import FeatureStore
from stages.training.batches import MomentFeed, cut, shuffled
from stages.training.targets import TargetError
from tests.stages import tiny

LENGTHS = {"a": 4, "b": 6, "c": 1}
FPS = 0.5


def sample(number, video, spans=((0.0, 2.0),), **more):
    given = {"duration": 2.0 * LENGTHS[video], "answerable": None, "published": "{}", "source": "train.jsonl", "record": number}
    return MomentSample(sample_id=f"s{number}", video_id=video, query_id=f"q{number}", query="?", spans=spans, **(given | more))


SAMPLES = [
    sample(0, "a", ((1.0, 4.0), (6.0, 8.0))),
    sample(1, "b", ((11.9, 12.0),)),
    sample(2, "a", ((2.0, 8.0),), relevant_clips=(1, 3), saliency_scores=((4, 4, 4), (1, 1, 1))),
    sample(3, "c", (), answerable=False),
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    random = np.random.default_rng(0)
    tiny.write_store(folder, "clip", {video: random.normal(size=(length, 3)) for video, length in LENGTHS.items()})
    tiny.write_store(folder, "words", {f"q{number}": random.normal(size=(2 + number, 2)) for number in range(4)})
    stores = (FeatureStore.open(folder / f"{name}.zarr") for name in ("clip", "words"))
    video, query = (Fused([store], normalise=True, budget_bytes=10**6, ids=store.ids) for store in stores)
    return video, query


def feed_of(sources, samples=SAMPLES, **more):
    video, query = sources
    return MomentFeed(samples, video, query, FPS, **more)


@pytest.fixture
def feed(sources):
    return feed_of(sources)


def test_a_batch_has_padded_features_and_targets(feed):
    batch = feed.batch(np.array([1, 0, 2]))
    assert batch.video.shape == (3, 6, 3)
    assert batch.video_mask.sum(dim=1).tolist() == [6, 4, 4]
    assert batch.query_mask.sum(dim=1).tolist() == [3, 2, 4]
    assert batch.fps.tolist() == [0.5] * 3
    assert batch.duration.tolist() == [12.0, 8.0, 8.0]
    assert batch.video_group[1] == batch.video_group[2] != batch.video_group[0]
    assert batch.spans_mask.tolist() == [[True, False], [True, True], [True, False]]
    assert batch.spans.tolist() == [[[10, 12], [0, 0]], [[1, 4], [6, 8]], [[2, 8], [0, 0]]]
    assert batch.saliency.tolist() == [[0, 0, 0, 0, 0, 1], [0, 1, 0, 1, 0, 0], [0, 1, 0, 0.25, 0, 0]]


def test_a_batch_equals_its_samples_one_by_one(feed):
    together = feed.batch(np.arange(4))
    together = {name: value.clone() for name, value in vars(together).items()}
    for index in range(4):
        alone = feed.batch(np.array([index]))
        for name in ("video", "video_mask", "query", "query_mask", "spans", "spans_mask", "saliency"):
            one = getattr(alone, name)[0]
            assert torch.equal(together[name][index][: len(one)], one)
            assert not together[name][index][len(one) :].any()


def test_evaluation_runs_in_order_and_without_targets(feed):
    places = [(indices.tolist(), len(batch), batch.saliency) for indices, batch in feed.epoch(3)]
    assert places == [([0, 1, 2], 3, None), ([3], 1, None)]


@pytest.mark.parametrize("budget", [10**6, 170, 0])
def test_training_may_follow_a_validation_with_larger_batches(tmp_path, budget):
    tiny.write_store(tmp_path, "clip", {video: np.ones((length, 3)) for video, length in LENGTHS.items()})
    store = FeatureStore.open(tmp_path / "clip.zarr")
    source = Fused([store], normalise=True, budget_bytes=budget, ids=store.ids)
    with torch.inference_mode():
        for _ in range(3):
            source.batch(["b", "b", "a"])
    for _ in range(3):
        values, _ = source.batch(["a"])
        torch.nn.Linear(3, 1)(values).sum().backward()


def test_padding_to_a_multiple_adds_only_padding(sources):
    wide, plain = feed_of(sources, pad_multiple=8), feed_of(sources)
    batch = {name: value.clone() for name, value in vars(wide.batch(np.arange(3))).items()}
    other = plain.batch(np.arange(3))
    assert batch["video"].shape[1] == batch["saliency"].shape[1] == batch["query"].shape[1] == 8
    assert torch.equal(batch["video"][:, :6], other.video)
    assert not batch["video"][:, 6:].any()
    assert not batch["video_mask"][:, 6:].any()


def test_ratings_without_rated_clips_are_refused_with_their_place(sources):
    broken = [sample(0, "a", relevant_clips=(1,))]
    with pytest.raises(TargetError, match=r"train.jsonl: record 0 \(s0\): relevant_clips and saliency_scores"):
        feed_of(sources, broken).batch(np.array([0]))


@given(st.integers(1, 50), st.integers(1, 4), st.integers(0, 3), st.integers(0, 5))
def test_an_epoch_has_every_sample_as_often_as_said(count, repeat, seed, epoch):
    order = shuffled(count, repeat=repeat, seed=seed, epoch=epoch)
    assert np.bincount(order, minlength=count).tolist() == [repeat] * count
    assert np.array_equal(order, shuffled(count, repeat=repeat, seed=seed, epoch=epoch))


@given(st.integers(0, 50), st.integers(1, 20))
def test_batches_are_the_order_cut_into_pieces(count, size):
    order = np.arange(count)
    assert np.concatenate([*cut(order, size), order[:0]]).tolist() == order.tolist()
    assert all(len(batch) == size for batch in cut(order, size, drop_last=True))
    assert len(cut(order, size, drop_last=True)) == count // size


def test_epochs_differ_in_their_order():
    assert not np.array_equal(shuffled(50, repeat=1, seed=0, epoch=0), shuffled(50, repeat=1, seed=0, epoch=1))
