"""Text features of a query that nobody has computed yet, by the encoder that computed those of the training queries.

The encoder is not part of this project. It runs where its library (`transformers`) is installed and its weights lie on this
machine, in a folder or in the Hub cache; nothing is downloaded here.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stages.predictions.inference import PredictionError

WAY_OUT = "give the text features of each query with --query-features FILE"


def encode(texts: Sequence[str], encoder: str, *, width: int) -> list[NDArray[np.float32]]:
    """Token features (L, width) of each text, its begin and end marks included, not normalised.

    `encoder` is a folder with a CLIP text model in Hugging Face layout, or the name of one in the Hub cache.

    Raises PredictionError if the library or the weights are not there, or if the features have another width.
    """
    try:
        library = importlib.import_module("transformers")
    except ImportError:
        raise PredictionError(
            f"text encoder {encoder!r} needs the package transformers, which is not installed; {WAY_OUT}"
        ) from None
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(encoder, local_files_only=True)
        model = library.CLIPTextModel.from_pretrained(encoder, local_files_only=True, use_safetensors=True).eval()
    except Exception as error:  # the library raises OSError, ValueError and others for weights that are not there
        kind = "folder" if Path(encoder).exists() else "Hub cache"
        reason = str(error).splitlines()[0][:100]
        raise PredictionError(
            f"text encoder {encoder!r}: no usable CLIP text model in this {kind} ({reason}); {WAY_OUT}, or put its weights "
            "on this machine and name their folder with --text-encoder"
        ) from error
    out = []
    with torch.inference_mode():
        for text in texts:
            tokens = tokenizer(text, return_tensors="pt", truncation=True)
            out.append(model(**tokens).last_hidden_state[0].float().numpy())
    if out and out[0].shape[1] != width:
        raise PredictionError(
            f"text encoder {encoder!r}: features of width {out[0].shape[1]}; the run was trained on {width}; {WAY_OUT}"
        )
    return out
