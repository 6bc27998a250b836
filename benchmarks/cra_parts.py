"""CRA's parts that published code writes as loops, against the array expressions here; equal results are checked first.

    python -m benchmarks.cra_parts

search       the best window of 64 questions with 32 frames
negatives    32 foreign samples for each of 64
step         a training step of CRA on TempCLIP at full width but for a text encoder of one layer, with the video part's own share
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.rounds import interleave, save
from models.backbones.tempclip import Roberta
from models.batch import GroundedQuestions
from models.layers.grounding_head import best_window
from models.methods.cra import WINDOWS, Config, Model

BATCH, FRAMES, WIDTH, CANDIDATES, TOKENS, CLUSTERS, NEGATIVES = 64, 32, 768, 5, 12, 512, 32


def looped_window(weights: Tensor) -> Tensor:
    """One question, one size, one start after the other."""
    found = []
    for row in weights:
        top, best, window = int(row.argmax()), torch.tensor(-1.0), (0, 0)
        for size in WINDOWS:
            if size > len(row) // 2:
                continue
            for start in range(len(row) - size + 1):
                if start <= top < start + size and (total := row[start : start + size].sum()) > best:
                    best, window = total, (start, start + size)
        found.append(window)
    return torch.tensor(found)


def looped_negatives() -> Tensor:
    """One sample, one draw after the other."""
    others = [[other for other in range(BATCH) if other != own] for own in range(BATCH)]
    return torch.tensor([[random.choice(row) for _ in range(NEGATIVES)] for row in others])


def network(numerics: Any) -> Model:
    """Full width, one layer of text."""
    text = Roberta(
        vocab_size=1000,
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=12,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=64,
        type_vocab_size=1,
        pad_token_id=1,
        layer_norm_eps=1e-5,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
    )
    config = Config(
        numerics=numerics,
        variant="cra",
        text=text,
        d_model=WIDTH,
        heads=8,
        layers=2,
        d_inner=WIDTH,
        max_frames=FRAMES,
        dropout_video=0.3,
        dropout=0.1,
        front_door=True,
        smoothing=True,
        span_threshold=0.5,
        vq_weight=1.0,
        align_weight=0.5,
        temperature=0.07,
        negatives=NEGATIVES,
    )
    confounders = {"video": torch.randn(CLUSTERS, WIDTH), "query": torch.randn(CLUSTERS, 8, WIDTH)}
    return Model(config, widths={"video": WIDTH}, confounders=confounders).train()


def batch(size: int) -> GroundedQuestions:
    """Random features and tokens, labels included."""
    tokens = torch.randint(5, 1000, (2, size, CANDIDATES, TOKENS))
    label, real = torch.randint(CANDIDATES, (size,)), torch.ones(size, CANDIDATES, TOKENS, dtype=torch.bool)
    return GroundedQuestions(
        video=torch.randn(size, FRAMES, WIDTH),
        video_mask=torch.ones(size, FRAMES, dtype=torch.bool),
        duration=torch.ones(size),
        answers=tokens[0],
        answers_mask=real,
        answer_id=label,
        questions=tokens[1],
        questions_mask=real,
        question_id=label,
    )


def step(model: Model, given: GroundedQuestions) -> Callable[[], None]:
    """Forward and backward."""
    generator = torch.Generator().manual_seed(0)

    def run() -> None:
        model.zero_grad(set_to_none=True)
        model.losses(model(given, model.draw(given, generator)), given)["total"].backward()  # type: ignore[no-untyped-call]

    return run


def multiplications(size: int) -> Callable[[], None]:
    """The matrix products of that step alone, as one product of the same number of operations: the limit."""
    rows = 2 * size * (CANDIDATES * TOKENS * 12 + FRAMES * (2 * 6 + 5)) * 3
    left, right = torch.randn(2048, WIDTH), torch.randn(WIDTH, WIDTH)

    def run() -> None:
        for _ in range(rows // 2048):
            left @ right

    return run


def main() -> None:
    """Check, time, save."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    weights = torch.randint(1, 50, (BATCH, FRAMES)).float()
    assert torch.equal(looped_window(weights), best_window(weights, WINDOWS))
    released, given = network("released"), batch(BATCH)
    drawn = released.draw(given, torch.Generator().manual_seed(0)).vqa
    assert drawn is not None
    for negatives in (drawn, looped_negatives()):
        assert negatives.shape == (BATCH, NEGATIVES)
        assert not (negatives == torch.arange(BATCH)[:, None]).any()
    generator, small = torch.Generator().manual_seed(0), batch(8)
    figures = {
        "search": interleave(
            {"loop": lambda: looped_window(weights), "array": lambda: best_window(weights, WINDOWS)}, reference="loop"
        ),
        "negatives, two passes": interleave(
            {"loop": lambda: (looped_negatives(), looped_negatives()), "array": lambda: released.draw(given, generator)},
            reference="loop",
        ),
        "step of 8 questions": interleave(
            {
                "released": step(released, small),
                "corrected": step(network("corrected"), small),
                "matrix products alone": multiplications(8),
            },
            reference="released",
            rounds=3,
        ),
    }
    save("cra_parts", figures)


if __name__ == "__main__":
    main()
