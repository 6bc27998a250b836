"""Which frames stand for a video, and when they were shown."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.datasets.frame_times import clip_centres, nextgqa_kept, nextgqa_times, star_times
from tests.shared import SHARED, there


@pytest.mark.shared
@pytest.mark.parametrize("split", ["val", "test"])
def test_published_times_follow_the_rule(split):
    path = there(SHARED / f"data/nextgqa/frame2time_{split}.json.gz")
    published = json.loads(gzip.decompress(path.read_bytes()))
    possible = {tuple(nextgqa_times(decoded)) for decoded in range(1, 1200)}
    assert [video for video, times in published.items() if tuple(times) not in possible] == []


def filled(count: int) -> list[int]:
    """The definition: clips of four, filled up with the first frame in front and with the last one behind."""
    found = []
    for place in [int(p) for p in np.linspace(0, count, 34)][1:33]:
        clip = list(range(max(0, place - 2), min(count, place + 2)))
        if clip[0] == 0:
            clip = [0] * (4 - len(clip)) + clip
        found.append((clip + [count - 1] * (4 - len(clip)))[2])
    return found


@given(st.integers(1, 4000))
def test_centres_are_those_of_the_definition(count):
    assert clip_centres(count).tolist() == filled(count)


@given(st.integers(1, 4000))
def test_centres_are_frames_in_order(count):
    centres = clip_centres(count)
    assert len(centres) == 32
    assert (np.diff(centres) >= 0).all()
    assert centres[0] >= 0
    assert centres[-1] < count


def test_every_third_frame_is_kept_and_stands_for_its_own_sixth_of_a_second():
    assert [nextgqa_kept(decoded) for decoded in (1, 3, 4, 30)] == [1, 1, 2, 10]
    assert nextgqa_times(30)[:4] == [0.2, 0.2, 0.2, 0.7]


def test_star_times_are_indices_over_the_rate():
    assert star_times(33, 29.97)[:3] == [0.03, 0.07, 0.1]
