"""Texts are read as they stand, and the same text once."""

from dataclasses import replace

import pytest
import torch

from models.backbones.tempclip import CandidateEncoder
from tests.models.grounded_questions import PAD, ROBERTA, WIDTH

STILL = replace(ROBERTA, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def texts():
    """Two questions with three candidates: the second text of the first comes again in the second, the third is shorter."""
    ids = torch.tensor([[[0, 7, 8, 2], [0, 9, 8, 2], [0, 7, 2, PAD]], [[0, 9, 8, 2], [0, 8, 8, 2], [0, 9, 8, 2]]])
    return ids, ids != PAD


def encoder(sizes):
    torch.manual_seed(0)
    return CandidateEncoder(sizes, d_model=WIDTH, mean=False)


def read_rows(monkeypatch, model):
    """How many texts the language model is given, call by call."""
    seen, read = [], model._read
    monkeypatch.setattr(model, "_read", lambda ids, real, **how: (seen.append(len(ids)), read(ids, real, **how))[1])
    return seen


@pytest.mark.parametrize("pool_pads", [False, True])
def test_equal_texts_are_read_once_and_every_candidate_gets_its_own_vector(monkeypatch, pool_pads):
    ids, real = texts()
    model = encoder(STILL)
    alone = torch.stack([model(ids[:1, m : m + 1], real[:1, m : m + 1], pool_pads=pool_pads)[0, 0] for m in range(3)])
    seen = read_rows(monkeypatch, model)
    found = model(ids, real, pool_pads=pool_pads)
    assert seen == [4]
    torch.testing.assert_close(found[0], alone, atol=1e-6, rtol=0)
    assert torch.equal(found[1, 0], found[0, 1])
    assert torch.equal(found[1, 2], found[0, 1])


def test_gradients_of_equal_texts_add_up():
    ids, real = texts()
    model = encoder(STILL)
    grown = []
    for copies in (1, 3):
        model.zero_grad()
        found = model(ids[:1].expand(copies, -1, -1), real[:1].expand(copies, -1, -1), pool_pads=False)
        (found[..., 0].sum() / copies).backward()
        grown.append(model.project.weight.grad.clone())
    torch.testing.assert_close(*grown)


def test_with_dropout_every_candidate_is_read_for_itself_in_training(monkeypatch):
    ids, real = texts()
    model = encoder(ROBERTA)
    seen = read_rows(monkeypatch, model)
    model(ids, real, pool_pads=False)
    model.eval()
    model(ids, real, pool_pads=False)
    assert seen == [6, 4]
