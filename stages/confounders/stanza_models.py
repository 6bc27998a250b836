"""Stanza pipelines from a folder that is there already: nothing is ever downloaded.

The folder has the layout of Stanza's own downloads, so every Stanza package fits:

    resources.json                 which models a package consists of, and what they depend on
    en/<part>/<model>.pt           tokenize, mwt, pos, lemma, depparse, and vectors and character models of large packages

Beside this file lies such a folder, `english`, with the package "small"; the full English models are the package "default".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

PARTS = ("tokenize", "mwt", "pos", "lemma", "depparse")
LANGUAGE = "en"
RESOURCES = "resources.json"


class ModelsError(LookupError):
    """A Stanza package that is not there or not complete; the message names the missing file and how to get it."""


def model_files(folder: Path, package: str, parts: Sequence[str] = PARTS) -> list[Path]:
    """The files that these parts of a package consist of, sorted.

    Raises ModelsError: no such folder, no such package in it, a file missing.
    """
    index = folder / RESOURCES
    if not index.is_file():
        raise ModelsError(f"{index} is missing; {_way_out(folder)}")
    try:
        known = json.loads(index.read_text(encoding="utf-8"))[LANGUAGE]
        chosen = known.get("packages", {}).get(package) or dict.fromkeys(parts, package)
        found = sorted({file for part in parts for file in _files(known, part, chosen.get(part, package))})
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelsError(f"{index}: package {package!r} cannot be found in it ({error!r}); {_way_out(folder)}") from None
    for name in found:
        if not (folder / name).is_file():
            raise ModelsError(f"{folder / name} is missing, which package {package!r} needs; {_way_out(folder)}")
    return [folder / name for name in found]


def models_digest(folder: Path, package: str) -> str:
    """sha256 over Stanza's version and the files of a package: changes when parses may.

    Raises ModelsError like model_files.
    """
    import stanza

    digest = hashlib.sha256(f"stanza {stanza.__version__}".encode())
    for path in model_files(folder, package):
        with path.open("rb") as stream:
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def pipeline(folder: Path, package: str, parts: Sequence[str] = PARTS, **options: Any) -> Any:
    """A stanza.Pipeline on the CPU. `options` go to Stanza, e.g. tokenize_pretokenized.

    Raises ModelsError: something is missing, or cannot be read.
    """
    model_files(folder, package, parts)
    import stanza

    try:
        return stanza.Pipeline(
            LANGUAGE,
            dir=str(folder),
            package=None,
            processors=dict.fromkeys(parts, package),
            download_method=None,
            use_gpu=False,
            verbose=False,
            **options,
        )
    except Exception as error:  # Stanza raises a different type for every kind of broken file
        raise ModelsError(f"{folder}: package {package!r} cannot be loaded ({error}); {_way_out(folder)}") from error


def _files(known: dict[str, Any], part: str, model: str) -> Iterator[str]:
    yield f"{LANGUAGE}/{part}/{model}.pt"
    for needed in known[part][model].get("dependencies", []):
        yield f"{LANGUAGE}/{needed['model']}/{needed['package']}.pt"


def _way_out(folder: Path) -> str:
    command = f"import stanza; stanza.download('{LANGUAGE}', model_dir='{folder}', processors='{','.join(PARTS)}')"
    return f'get the full English package with: python -c "{command}" or name stages/confounders/english, package small'
