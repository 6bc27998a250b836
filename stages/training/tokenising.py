"""Texts to token ids, by the tokenizer that belongs to a text encoder, in the folder format of `transformers`.

    <run>/tokenizer/      the tokenizer's files, copied from the encoder: evaluation and prediction need no more

Nothing is downloaded. N texts, L tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = "tokenizer"
TEXT_FILES = (".json", ".txt", ".model")  # what a tokenizer is made of; weights end otherwise
WEIGHT_INDEX = ".index.json"


class EncoderError(ValueError):
    """A text encoder that is not there or does not fit. The message names folder and file, and the way out."""


class Tokeniser:
    """Ids of texts. Every text is tokenised once; equal texts come back all through a training.

    separator, mask    the words between question and option, and to be filled in
    """

    def __init__(self, folder: Path) -> None:
        if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
            raise EncoderError(
                f"{folder}: neither tokenizer.json nor tokenizer_config.json is there; fetch the encoder, or put a folder in the "
                "layout of transformers there"
            )
        from transformers import AutoTokenizer  # takes seconds

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # the library raises OSError, ValueError and others
            raise EncoderError(f"{folder}: not a tokenizer of transformers ({str(error).splitlines()[0][:200]})") from error
        if self._tokenizer.pad_token_id is None:
            raise EncoderError(f"{folder}: the tokenizer has no padding token")
        self.separator, self.mask = str(self._tokenizer.sep_token), str(self._tokenizer.mask_token)
        self.padding = int(self._tokenizer.pad_token_id)
        self._known: dict[tuple[str, int], list[int]] = {}

    def id(self, token: str) -> int:
        """Number of one token."""
        return int(self._tokenizer.convert_tokens_to_ids(token))

    @property
    def mask_id(self) -> int:
        """Number of the word to be filled in."""
        return int(self._tokenizer.mask_token_id)

    def ids(self, texts: Iterable[str], most: int) -> list[list[int]]:
        """With begin and end marks, cut to `most` tokens."""
        wanted = list(texts)
        new = [text for text in dict.fromkeys(wanted) if (text, most) not in self._known]
        if new:
            found = self._tokenizer(new, truncation=True, max_length=most, padding=False)["input_ids"]
            self._known |= {(text, most): list(ids) for text, ids in zip(new, found, strict=True)}
        return [self._known[text, most] for text in wanted]

    def padded(self, texts: Sequence[str], most: int, *, full: bool) -> tuple[Tensor, Tensor]:
        """(N, L) int64 and (N, L) bool, True = real; L is the longest of the texts, or with `full` always `most`."""
        rows = self.ids(texts, most)
        lengths = np.array([len(row) for row in rows])
        width = most if full else int(lengths.max(initial=1))
        out = np.full((len(rows), width), self.padding, dtype=np.int64)
        for place, row in enumerate(rows):
            out[place, : len(row)] = row
        return torch.from_numpy(out), torch.from_numpy(np.arange(width) < lengths[:, None])


def tokenizer_files(encoder: Path) -> dict[str, bytes]:
    """What of an encoder's folder goes into the run folder.

    Raises EncoderError if the folder is not there.
    """
    if not encoder.is_dir():
        raise EncoderError(
            f"{encoder}: no such folder; run the fetch stage, or put the encoder there in the layout of transformers"
        )
    names = sorted(path for path in encoder.iterdir() if path.suffix in TEXT_FILES and not path.name.endswith(WEIGHT_INDEX))
    return {f"{FOLDER}/{path.name}": path.read_bytes() for path in names}
