"""Object trajectories: boxes as numbers that do not depend on the frame's size, read in time order by an LSTM from both ends.

    u_t = ReLU(Wa appearance_t + Wb [box_t; box_t - box_t-1])        box_t = (x/W, y/H, w/W, h/H, w h / (W H)),  x, y: the centre
    trajectory = mean over the steps at which the object is there of BiLSTM(u)_t
    r_so = ((x_s - x_o)/w_o, (y_s - y_o)/h_o, ln w_s/w_o, ln h_s/h_o, ln w_s h_s/(w_o h_o)) at the first and at the last step that
           both share, and the last minus the first                                            -> relative_geometry

Boxes are inclusive pixels [left, top, right, bottom], so w = right - left + 1. t - 1 is the step before t at which the object is
there; before the first one the difference is 0.
M trajectories, T steps, D channels, Q pairs.  Masks: True = the object is there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.layers.masks import masked_mean, prefix_mask, zero_padding
from models.layers.recurrent import BothWays

BOX = 5  # numbers of one box; as many again for its change
GEOMETRY = 15  # numbers of r_so


def centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """boxes (..., 4) -> x, y of the centre, w, h, each (...); sizes at least one pixel, whatever padding holds."""
    left, top, right, bottom = boxes.unbind(dim=-1)
    return (left + right) / 2, (top + bottom) / 2, (right - left + 1).clamp(min=1), (bottom - top + 1).clamp(min=1)


def box_features(boxes: Tensor, frame: Tensor) -> Tensor:
    """boxes (M, T, 4), frame (M, 2) = W, H in pixels -> (M, T, 5)."""
    x, y, w, h = centre_and_size(boxes)
    width, height = frame[:, :1], frame[:, 1:]  # (M, 1)
    return torch.stack((x / width, y / height, w / width, h / height, w * h / (width * height)), dim=-1)


def relative_geometry(subject: Tensor, other: Tensor, both: Tensor) -> Tensor:
    """subject, other (Q, T, 4), both (Q, T) bool: steps at which both are there -> r_so (Q, 15); zeros where there is none."""
    steps = torch.arange(both.shape[1], device=both.device)
    first = torch.where(both, steps, both.shape[1] - 1).min(dim=1).values  # (Q,)
    last = torch.where(both, steps, 0).max(dim=1).values
    begin, end = (_offset(_at(subject, step), _at(other, step)) for step in (first, last))  # (Q, 5)
    return torch.cat((begin, end, end - begin), dim=-1).masked_fill(~both.any(dim=1, keepdim=True), 0.0)


def _at(boxes: Tensor, step: Tensor) -> Tensor:
    return boxes.gather(1, step[:, None, None].expand(-1, 1, 4))[:, 0]


def _offset(subject: Tensor, other: Tensor) -> Tensor:
    """subject, other (Q, 4) -> (Q, 5)."""
    x_s, y_s, w_s, h_s = centre_and_size(subject)
    x_o, y_o, w_o, h_o = centre_and_size(other)
    wide, high = (w_s / w_o).log(), (h_s / h_o).log()
    return torch.stack(((x_s - x_o) / w_o, (y_s - y_o) / h_o, wide, high, wide + high), dim=-1)


class TrajectoryEncoder(nn.Module):
    """The first two formulas above."""

    def __init__(self, *, d_appearance: int, d_step: int, hidden: int) -> None:
        super().__init__()
        self.app = nn.Linear(d_appearance, d_step)
        self.box = nn.Linear(2 * BOX, d_step, bias=False)
        self.lstm = BothWays(d_in=d_step, hidden=hidden, cell="lstm")

    def forward(self, appearance: Tensor, boxes: Tensor, present: Tensor, frame: Tensor) -> Tensor:
        """appearance (M, T, D_a), boxes (M, T, 4), present (M, T) bool, frame (M, 2) -> (M, 2 hidden).

        A row without any step (padding) gives numbers without meaning, but finite ones.
        """
        order = (~present).to(torch.uint8).argsort(dim=1, stable=True)[..., None]  # (M, T, 1): real steps first
        count = present.sum(dim=1).clamp(min=1)
        mask = prefix_mask(count, present.shape[1])
        place = zero_padding(box_features(boxes.gather(1, order.expand(-1, -1, 4)), frame), mask)
        change = torch.cat((torch.zeros_like(place[:, :1]), place[:, 1:] - place[:, :-1]), dim=1)
        change = zero_padding(change, mask)  # the first step behind the last real one differs from it, too
        seen = zero_padding(appearance.gather(1, order.expand_as(appearance)), mask)
        rows, _ = self.lstm((self.app(seen) + self.box(torch.cat((place, change), dim=-1))).relu(), count)
        return masked_mean(rows, mask)
