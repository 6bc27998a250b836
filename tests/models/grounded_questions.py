"""Tiny CRA models of both backbones, and batches of questions for them."""

from __future__ import annotations

from typing import Any

import torch

from models.backbones.frozenbilm import Deberta
from models.backbones.tempclip import Roberta
from models.batch import GroundedQuestions
from models.methods.cra import Config, Model

FRAME, WIDTH, CANDIDATES = 6, 16, 3
PAD, MASK_WORD, WORDS = 1, 4, 40

ROBERTA = Roberta(
    vocab_size=WORDS,
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=40,
    type_vocab_size=1,
    pad_token_id=PAD,
    layer_norm_eps=1e-5,
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
)
DEBERTA = Deberta(
    vocab_size=WORDS,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=64,
    position_buckets=8,
    conv_kernel_size=3,
    pad_token_id=PAD,
    layer_norm_eps=1e-7,
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
    adapter_attention=2,
    adapter_feed_forward=2,
    adapter_dropout=0.1,
    mask_token_id=MASK_WORD,
    yes_no_token_ids=(20, 21),
)


def config(numerics: str = "corrected", *, text: Any = ROBERTA, **own: Any) -> Config:
    """Small sizes, everything switched on."""
    return Config(
        **{
            "numerics": numerics,
            "variant": "cra",
            "text": text,
            "d_model": WIDTH,
            "heads": 2,
            "layers": 2,
            "d_inner": 16,
            "max_frames": 32,
            "dropout_video": 0.3,
            "dropout": 0.1,
            "front_door": True,
            "smoothing": True,
            "span_threshold": 0.5,
            "vq_weight": 1.0,
            "align_weight": 0.5,
            "temperature": 0.07,
            "negatives": 4,
        }
        | own
    )


def confounders(seed: int = 0) -> dict[str, torch.Tensor]:
    """Seven frames and five graphs of eight nodes."""
    random = torch.Generator().manual_seed(seed)
    return {"video": torch.randn(7, FRAME, generator=random), "query": torch.randn(5, 8, WIDTH, generator=random)}


def model(settings: Config, *, seed: int = 0, **own: Any) -> Model:
    """Random weights, in eval state; larger than at the start of a training, so that laws are about more than noise."""
    torch.manual_seed(seed)
    made = Model(settings, widths={"video": FRAME}, confounders=own.get("confounders", confounders()))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.dim() > 1 and "encoder" not in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return made.eval()


def batch(frames: list[int], tokens: list[list[int]], *, seed: int = 0, labels: bool = False, masked_word: bool = False) -> Any:
    """Questions with `frames` real frames each and candidates of `tokens` real tokens; the rest is padding."""
    random = torch.Generator().manual_seed(seed)
    length, words = max(frames), max(max(row) for row in tokens)

    def texts() -> tuple[torch.Tensor, torch.Tensor]:
        real = torch.tensor([[[place < count for place in range(words)] for count in row] for row in tokens])
        ids = torch.randint(22, WORDS, real.shape, generator=random)
        if masked_word:
            ids[..., 2] = MASK_WORD
        return ids.masked_fill(~real, PAD), real

    mask = torch.tensor([[place < count for place in range(length)] for count in frames])
    answers, answers_mask = texts()
    given = {"video": torch.randn(len(frames), length, FRAME, generator=random), "video_mask": mask}
    given |= {"duration": torch.tensor([10.0 + index for index in range(len(frames))])}
    given |= {"answers": answers, "answers_mask": answers_mask}
    if labels:
        questions, questions_mask = texts()
        label = torch.arange(len(frames)) % len(tokens[0])
        given |= {"questions": questions, "questions_mask": questions_mask, "answer_id": label, "question_id": label}
    return GroundedQuestions(**given)
