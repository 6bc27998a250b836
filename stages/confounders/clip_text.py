"""Texts to vectors by the text half of a CLIP model, loaded with `transformers` from a folder.

The vector is the projected one of the last token, not normalised, as CRA's confounders are made of. Texts longer than the model's
context (77 tokens) are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from stages.confounders.blocks import in_blocks

BLOCK = 64  # texts per forward pass
NEEDED = ("config.json", "model.safetensors", "tokenizer_config.json")


class EncoderError(LookupError):
    """A text encoder that is not there or cannot be loaded; the message names the file and the way out."""


def encode(texts: Sequence[str], folder: Path, *, processes: int = 1, engine: str = "processes") -> NDArray[np.float32]:
    """(len(texts), D) float32 on the CPU; each distinct text is encoded once.

    Raises EncoderError, EngineError.
    """
    distinct = list(dict.fromkeys(texts))
    place = {text: number for number, text in enumerate(distinct)}
    rows = []
    with tqdm(total=len(distinct), desc="encode", unit="text") as bar:
        for block, vectors in in_blocks(
            _encode_block, distinct, size=BLOCK, processes=processes, prepare=load, arguments=(folder,), engine=engine
        ):
            rows.append(vectors)
            bar.update(len(block))
    return np.concatenate(rows)[[place[text] for text in texts]] if rows else np.zeros((0, 0), np.float32)


def load(folder: Path) -> tuple[Any, Any]:
    """(tokenizer, model) of a folder in the format of `transformers`.

    Raises EncoderError.
    """
    for name in NEEDED:
        if not (folder / name).is_file():
            raise EncoderError(
                f"{folder / name} is missing: the text encoder is fetched with the data set; run the fetch stage, or put a "
                "folder in the format of transformers there"
            )
    from transformers import AutoTokenizer, CLIPTextModelWithProjection

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = CLIPTextModelWithProjection.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise EncoderError(f"{folder}: no CLIP text model ({error}); fetch it again") from error
    return tokenizer, model.float().eval()


def _encode_block(tool: tuple[Any, Any], texts: Sequence[str]) -> NDArray[np.float32]:
    tokenizer, model = tool
    length = model.config.max_position_embeddings
    batch = tokenizer(list(texts), padding=True, truncation=True, max_length=length, return_tensors="pt")
    with torch.inference_mode():
        output = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    vectors: NDArray[np.float32] = output.text_embeds.numpy()
    return vectors
