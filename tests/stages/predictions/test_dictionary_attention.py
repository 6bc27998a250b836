"""What a front door read off its dictionary, watched from outside."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from models.causal.front_door import FrontDoor
from models.causal.mediated_front_door import MediatedFrontDoor
from stages.predictions.dictionary_attention import dictionary_attention


class Batch(SimpleNamespace):
    def __len__(self):
        return len(self.video)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return Batch(video=torch.randn(2, 3, 8), video_mask=torch.tensor([[True, True, False], [True, True, True]]))


class Both(nn.Module):
    """A front door for either side, as CausalVTG has them."""

    def __init__(self):
        super().__init__()
        self.video_front_door, self.query_front_door = (FrontDoor(d_model=8, heads=2, dropout=0.0) for _ in range(2))
        self.rows = torch.randn(7, 8)

    def forward(self, batch, draws):
        return self.query_front_door(self.video_front_door(batch.video, self.rows), self.rows)


class Mediated(nn.Module):
    def __init__(self):
        super().__init__()
        self.door = MediatedFrontDoor(torch.randn(6, 8), d_model=8, d_inner=4, over="frames")

    def forward(self, batch, draws):
        whole = batch.video.mean(dim=1)
        return self.door(whole, whole, batch.video, batch.video_mask)


def test_the_entries_that_count_most_are_told_clip_by_clip(batch):
    model = Both().eval()
    short, whole = dictionary_attention(model, batch)
    assert (len(short["entries"]), short["size"], len(short["gate"])) == (5, 7, 2)
    assert [len(row) for row in whole["weights"]] == [3] * 5
    weights, gate = model.video_front_door.looked_at(batch.video, model.rows)
    assert whole["entries"] == weights[1].mean(dim=0).argsort(descending=True, stable=True)[:5].tolist()
    assert whole["gate"] == pytest.approx(gate[1].tolist(), abs=1e-4)
    assert weights.sum(dim=-1).allclose(torch.ones(2, 3))


def test_of_a_video_as_a_whole_there_is_one_weight_per_entry_and_no_gate(batch):
    first, _ = dictionary_attention(Mediated().eval(), batch)
    assert ([len(row) for row in first["weights"]], first["gate"], first["size"]) == ([1] * 5, None, 6)


def test_a_model_without_a_dictionary_tells_nothing_and_hooks_do_not_stay(batch):
    model = Both().eval()
    dictionary_attention(model, batch)
    assert not model.video_front_door._forward_hooks
    model.rows = None
    assert dictionary_attention(model, batch) == [None, None]
