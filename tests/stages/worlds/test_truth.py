"""What the world says it knows is so."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from stages.worlds import truth
from stages.worlds.planted import PlantedWorld

SPLITS = ("iid", "interventional", "reversed")


def recall(windows, queries):
    """Share of queries whose window overlaps the true one by at least half."""
    return np.mean(
        [
            truth.overlap(window, (query.event.start, query.event.end)) >= 0.5
            for window, query in zip(windows, queries, strict=True)
        ]
    )


def random_windows(world, queries):
    generator = np.random.default_rng(0)
    lengths = [query.event.end - query.event.start for query in world.queries["train"]]
    for query in queries:
        length = generator.choice(lengths)
        start = generator.random() * (query.video.duration - length)
        yield start, start + length


@pytest.mark.parametrize("split", SPLITS)
def test_neither_a_random_window_nor_the_centre_finds_the_moment(world, split):
    queries = world.queries[split]
    assert recall(random_windows(world, queries), queries) < 0.12
    mean = np.mean([query.event.end - query.event.start for query in world.queries["train"]])
    assert recall([(24 - mean / 2, 24 + mean / 2)] * len(queries), queries) < 0.12


def test_the_place_guess_wins_where_the_bias_is_and_loses_where_it_is_reversed(world):
    chance = {split: recall(random_windows(world, world.queries[split]), world.queries[split]) for split in SPLITS}
    guess = {
        split: recall(
            [truth.place_guess(world.scm, query.event.predicate, query.video.duration) for query in world.queries[split]],
            world.queries[split],
        )
        for split in SPLITS
    }
    assert guess["iid"] > chance["iid"] + 0.2
    assert guess["interventional"] == pytest.approx(chance["interventional"], abs=0.04)
    assert guess["reversed"] < chance["reversed"]


@pytest.mark.parametrize("split", SPLITS)
def test_every_query_has_unanswerable_videos_that_are_what_they_are_called(demo, split):
    both = PlantedWorld(replace(demo, splits={**demo.splits, split: replace(demo.splits[split], unanswerable_per_query=2)}), 2026)
    missing = Counter()
    groups = list(truth.unanswerable(both.scm, split, both.queries[split], both.videos[split], missing))
    assert not missing
    for query, pairs in zip(both.queries[split], groups, strict=True):
        assert sorted(pair.kind for pair in pairs) == ["easy", "hard"]
        for pair in pairs:
            shown = pair.video.events
            predicate = any(event.predicate == query.event.predicate for event in shown)
            thing = any(event.object == query.event.object for event in shown)
            same_scene = pair.video.scene == query.video.scene
            assert not any((e.predicate, e.object) == (query.event.predicate, query.event.object) for e in shown)
            assert (same_scene and (predicate or thing)) if pair.kind == "hard" else not (same_scene or predicate or thing)


def test_one_pair_per_query_is_hard_and_easy_in_turns(world):
    groups = truth.unanswerable(world.scm, "iid", world.queries["iid"], world.videos["iid"], Counter())
    kinds = [pair.kind for group in groups for pair in group]
    assert kinds[:4] == ["hard", "easy", "hard", "easy"]
    assert len(kinds) == len(world.queries["iid"])


def test_more_videos_replace_few_unanswerable_pairs(world, demo):
    videos = world.videos["iid"]
    few, many = (
        [pair for group in truth.unanswerable(world.scm, "iid", world.queries["iid"][:200], some, Counter()) for pair in group]
        for some in (videos[:250], videos)
    )
    same = np.mean([a.video.video_id == b.video.video_id for a, b in zip(few, many, strict=True)])
    assert 0.7 < same < 0.95


def test_pairs_without_a_fitting_video_are_counted(world):
    missing = Counter()
    alone = world.videos["iid"][:1]
    groups = list(truth.unanswerable(world.scm, "iid", world.language.queries(alone[0]), alone, missing))
    assert not any(groups)
    assert missing.total() == len(groups)


def test_raters_rate_the_clips_of_the_span_from_0_to_4_and_higher_inside(world):
    inside, edge, spread = [], [], []
    for query in world.queries["train"][:300]:
        clips, scores = truth.ratings(world.settings, 2026, query)
        covered = query.video.coverage[query.position]
        assert clips == np.flatnonzero(covered > 0).tolist()
        assert all(len(row) == 3 and all(0 <= score <= 4 for score in row) for row in scores)
        for clip, row in zip(clips, scores, strict=True):
            (inside if covered[clip] == 1 else edge).append(np.mean(row))
            spread.append(np.ptp(row))
    assert np.mean(inside) == pytest.approx(3.3, abs=0.2)
    assert np.mean(edge) < np.mean(inside) - 1
    assert 0.3 < np.mean(spread) < 1.5


def test_rows_of_truth_name_preference_and_shortcut(world):
    video = world.videos["iid"][0]
    rows = truth.event_rows(world.scm, video, world.words)
    for row, event in zip(rows, video.events, strict=True):
        assert row["object_is_preferred"] == (world.scm.preferred[video.scene, event.predicate] == event.object)
        assert 0 <= row["place_guess"][0] < row["place_guess"][1] <= video.duration
        assert row["place_guess_iou"] == pytest.approx(truth.overlap(tuple(row["place_guess"]), (event.start, event.end)))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [((0, 2), (1, 3), 1 / 3), ((0, 1), (2, 3), 0.0), ((1, 2), (1, 2), 1.0), ((1, 1), (1, 1), 0.0)],
)
def test_overlap_of_windows(first, second, expected):
    assert truth.overlap(first, second) == truth.overlap(second, first) == pytest.approx(expected)
