"""Small batches of questions, clip banks and backbones for the tests of IGV, EIGV and TranSTR."""

from __future__ import annotations

import dataclasses

import torch

from models.backbones.attention_reader import AttentionReader
from models.backbones.clip_word_transformer import ClipWordTransformer
from models.backbones.hga import Hga
from models.batch import Questions
from models.causal.invariant import ClipBank
from models.layers.masks import prefix_mask, zero_padding

WIDTHS = {"video": 10, "query": 12}
CLIPS, WORDS, CANDIDATES = (6, 3, 5, 1), (4, 1, 7, 2), 3
BACKBONES = {
    "gru": Hga(hidden=8, words=7, cell="gru", graph_layers=2, fusion_inner=12, fusion_chunks=3, fusion_rank=2, dropout=0.0),
    "lstm": Hga(hidden=8, words=7, cell="lstm", graph_layers=1, fusion_inner=13, fusion_chunks=4, fusion_rank=2, dropout=0.0),
    "reader": AttentionReader(channels=16, word_heads=2, dropout=0.0),
    "transformer": ClipWordTransformer(d_model=16, heads=2, layers=1, d_inner=20, dropout=0.0),
}


def questions(seed: int = 0, clips=CLIPS, words=WORDS) -> Questions:
    """Samples of unequal lengths, with question and candidates; video b is video b of the bank."""
    generator = torch.Generator().manual_seed(seed)
    size = len(clips)
    video_mask, question_mask = (prefix_mask(torch.tensor(count), max(count)) for count in (clips, words))
    candidate_words = torch.randint(1, 6, (size, CANDIDATES), generator=generator)
    candidates_mask = prefix_mask(candidate_words.flatten(), 6).unflatten(0, (size, CANDIDATES))

    def rows(mask, width):
        return zero_padding(torch.randn(*mask.shape, width, generator=generator), mask)

    return Questions(
        video=rows(video_mask, WIDTHS["video"]),
        video_mask=video_mask,
        answer=torch.arange(size) % CANDIDATES,
        video_index=torch.arange(size),
        question=rows(question_mask, WIDTHS["query"]),
        question_mask=question_mask,
        candidates=rows(candidates_mask, WIDTHS["query"]),
        candidates_mask=candidates_mask,
    )


def bank(videos: int = 6, width: int = WIDTHS["video"]) -> ClipBank:
    """Videos of 1, 2, 3, ... clips."""
    generator = torch.Generator().manual_seed(7)
    offsets = torch.arange(videos + 1).cumsum(0)
    return ClipBank(torch.randn(int(offsets[-1]), width, generator=generator), offsets)


def select(value, index: int, drop=()):
    """Sample `index` of a batch or of draws, as a batch of one; the fields in `drop` have no batch axis and are kept."""
    return dataclasses.replace(
        value,
        **{
            field.name: part[index : index + 1]
            for field in dataclasses.fields(value)
            if field.name not in drop and isinstance(part := getattr(value, field.name), torch.Tensor)
        },
    )


def padded(batch: Questions, *, clips: int = 0, words: int = 0) -> Questions:
    """The same samples with more padding: clips behind each video, words behind each text."""
    changes = {}
    for name, axis, more in (("video", 1, clips), ("question", 1, words), ("candidates", 2, words), ("objects", 1, clips)):
        if (rows := getattr(batch, name)) is not None:
            mask = getattr(batch, f"{name}_mask")
            for field, value in ((name, rows), (f"{name}_mask", mask)):
                shape = list(value.shape)
                shape[axis] = more
                changes[field] = torch.cat((value, torch.zeros(shape, dtype=value.dtype)), dim=axis)
    return dataclasses.replace(batch, **changes)


def close(first, second, tolerance=2e-5) -> None:
    torch.testing.assert_close(first, second, rtol=tolerance, atol=tolerance)
