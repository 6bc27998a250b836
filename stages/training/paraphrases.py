"""Other wordings of training questions, as released with CRA (CVPR 2025): JSON {"<sample id>": {"ori": text, "gen": [texts]}}."""

from __future__ import annotations

import json
from pathlib import Path

from stages.training.tokenising import EncoderError


def read_paraphrases(path: Path) -> dict[str, tuple[str, ...]]:
    """Sample id -> other wordings.

    Raises EncoderError, naming file and entry, for anything else than the layout above.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EncoderError(f"{path}: no such file; fetch it, or set paraphrases: null and paraphrase: 0.0") from None
    except ValueError as error:
        raise EncoderError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise EncoderError(f"{path}: expected an object of questions, got {type(content).__name__}")
    for key, entry in content.items():
        wordings = entry.get("gen") if isinstance(entry, dict) else None
        if not isinstance(wordings, list) or not all(isinstance(text, str) for text in wordings):
            raise EncoderError(f"{path}: {key}: expected a list of texts under gen, got {wordings!r}")
    return {key: tuple(entry["gen"]) for key, entry in content.items()}
