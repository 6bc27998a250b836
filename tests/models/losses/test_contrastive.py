from __future__ import annotations

import torch
from torch.nn import functional as F

from models.losses.contrastive import clip_contrast


def test_without_better_clips_and_padding_it_is_two_cross_entropies():
    similarity, positive = torch.randn(3, 5), torch.tensor([2, 0, 4])
    everything = torch.ones(3, 5, dtype=torch.bool)
    loss = clip_contrast(similarity, F.one_hot(positive, 5).float(), everything, positive, None)
    row = F.cross_entropy(similarity, positive)
    column = F.cross_entropy(similarity[:, positive].T, torch.arange(3))
    torch.testing.assert_close(loss, row + column)


def test_better_clips_and_padding_compete_nowhere():
    similarity = torch.tensor([[1.0, 50.0, 0.0, 70.0]])
    relevance = torch.tensor([[0.5, 0.75, 0.0, 0.0]])
    mask = torch.tensor([[True, True, True, False]])
    loss = clip_contrast(similarity, relevance, mask, torch.tensor([0]), None)
    torch.testing.assert_close(loss, F.cross_entropy(torch.tensor([[1.0, 0.0]]), torch.tensor([0])))


def test_counting_everybody_is_counting_nobody_out():
    similarity, positive = torch.randn(4, 6), torch.tensor([0, 5, 2, 2])
    relevance, mask = F.one_hot(positive, 6).float(), torch.ones(4, 6, dtype=torch.bool)
    everybody = clip_contrast(similarity, relevance, mask, positive, torch.ones(4, dtype=torch.bool))
    torch.testing.assert_close(everybody, clip_contrast(similarity, relevance, mask, positive, None))
