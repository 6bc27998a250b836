"""Text encoders of a few kilobytes in the folder layout of transformers: random weights, one token per word."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from models.backbones.frozenbilm import Deberta, FrozenLanguageModel, library_names

ROBERTA: dict[str, Any] = {
    "vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 40, "type_vocab_size": 1, "pad_token_id": 1, "layer_norm_eps": 1.0e-5,
    "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
}  # fmt: skip
DEBERTA: dict[str, Any] = {
    "vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 60, "position_buckets": 8, "conv_kernel_size": 3, "pad_token_id": 1, "layer_norm_eps": 1.0e-7,
    "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "adapter_attention": 4, "adapter_feed_forward": 4,
    "adapter_dropout": 0.1, "mask_token_id": 4, "yes_no_token_ids": (5, 6),
}  # fmt: skip
MARKS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "\u2581Yes", "\u2581No"]


def tokenizer(folder: Path, words: Iterable[str]) -> None:
    """Every word one token, in the order given, with begin and end marks around a text."""
    known = {word: number for number, word in enumerate(dict.fromkeys([*MARKS, *words]))}
    assert len(known) <= ROBERTA["vocab_size"], len(known)
    made = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    names = {"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    PreTrainedTokenizerFast(tokenizer_object=made, mask_token="<mask>", **names).save_pretrained(folder)


def roberta(folder: Path, words: Iterable[str]) -> None:
    torch.manual_seed(0)
    tokenizer(folder, words)
    RobertaModel(RobertaConfig(**ROBERTA), add_pooling_layer=False).save_pretrained(folder)


def deberta(folder: Path, words: Iterable[str]) -> None:
    """Weights under the published names, absolute positions and the head of the language model included."""
    torch.manual_seed(0)
    tokenizer(folder, words)
    network = FrozenLanguageModel(Deberta(**DEBERTA), d_in=3)
    own = dict(network.state_dict())
    state = {theirs: own[ours].clone() for theirs, ours in library_names(DEBERTA["num_hidden_layers"]).items() if ours in own}
    save_file(state, folder / "model.safetensors")
