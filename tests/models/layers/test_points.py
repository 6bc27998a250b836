from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.layers.points import assign, point_table
from models.layers.pyramid import level_sizes

CPU = torch.device("cpu")
STRIDES = (1, 2, 4, 8)


def table(length: int) -> torch.Tensor:
    return point_table(level_sizes(length, STRIDES), STRIDES, CPU)


def by_hand(points: torch.Tensor, windows: list[tuple[float, float]], radius: float) -> list[tuple[float, float] | None]:
    """The distances of each point to its window, or None: the definition, one point after the other."""
    out: list[tuple[float, float] | None] = []
    for position, low, high, stride in points.tolist():
        fitting = [
            (end - start, index)
            for index, (start, end) in enumerate(windows)
            if max((start + end) / 2 - radius * stride, start) <= position <= min((start + end) / 2 + radius * stride, end)
            and low <= max(position - start, end - position) <= high
        ]
        if not fitting:
            out.append(None)
            continue
        start, end = windows[min(fitting)[1]]
        out.append(((position - start) / stride, (end - position) / stride))
    return out


def test_points_stand_on_multiples_of_their_stride_and_share_out_the_distances():
    assert table(9).tolist() == [
        *[[float(k), 0.0, 2.0, 1.0] for k in range(9)],
        *[[2.0 * k, 2.0, 4.0, 2.0] for k in range(4)],
        *[[4.0 * k, 4.0, 8.0, 4.0] for k in range(2)],
        [0.0, 8.0, math.inf, 8.0],
    ]


def test_last_level_of_a_short_video_keeps_its_own_range():
    assert table(5)[-1].tolist() == [0.0, 4.0, 8.0, 4.0]


windows_on_quarters = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 60)).map(lambda pair: (pair[0] / 4, (pair[0] + pair[1]) / 4)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(windows_on_quarters, st.integers(1, 40))
def test_assignment_is_the_definition_point_by_point(windows, length):
    points = table(length)
    masks = torch.tensor([[True] * len(windows) + [False]])
    positive, distances = assign(points, torch.tensor([[*windows, (0.0, 0.25)]]), masks, radius=1.5)
    expected = by_hand(points, windows, 1.5)
    assert positive[0].tolist() == [one is not None for one in expected]
    torch.testing.assert_close(distances[0], torch.tensor([one or (0.0, 0.0) for one in expected]))


def test_a_point_learns_the_first_of_equally_short_windows():
    windows = torch.tensor([[[1.0, 3.0], [1.5, 3.5], [0.0, 8.0]]])
    positive, distances = assign(table(8)[2:3], windows, torch.ones(1, 3, dtype=torch.bool), radius=1.5)
    assert positive.tolist() == [[True]]
    assert distances.tolist() == [[[1.0, 1.0]]]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 160), st.floats(0, 1), st.floats(0, 1), st.sampled_from([STRIDES, (*STRIDES, 16)]))
def test_every_window_on_the_clip_grid_has_a_point(length, one, other, strides):
    middle, width = min(one, other) * length, max(abs(one - other) * length, 1.0)
    start = min(max(middle, 0.0), length - width)
    points = point_table(level_sizes(length, strides), strides, CPU)
    windows = torch.tensor([[[start, start + width]]])
    positive, _ = assign(points, windows, torch.ones(1, 1, dtype=torch.bool), radius=1.5)
    assert bool(positive.any())
