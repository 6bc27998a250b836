"""Files that `torch.save` wrote, by PyTorch's restricted reader: tensors, numbers, text, plain containers; nothing is run.

The reader searches its own error messages with patterns that take quadratic time, and puts names of the file into them: a name of
100 kB keeps it busy for minutes. So the pickle programs are looked through first, as data, for what no honest file has.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import Path
from typing import IO, Any

LONGEST_WORD = 1 << 14  # characters without a blank
LEGACY_PROGRAMS = 5  # magic number, protocol, system, content, keys of the storages


class TorchFileError(ValueError):
    """A file that is not read; the message says what was met, the caller which file it was."""


def load_restricted(source: Path | bytes) -> Any:
    """What a file holds, on the CPU.

    Raises TorchFileError for what no honest file has, and whatever zipfile, pickletools and torch raise for a damaged one.
    """
    import torch  # seconds; most callers get along without

    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
        for program in _programs(stream):
            _check(program)
        stream.seek(0)
        return torch.load(stream, map_location="cpu", weights_only=True)


def _programs(stream: IO[bytes]) -> list[IO[bytes]]:
    """The pickles of a file: in a zip the members data.pkl, else one behind the other."""
    if not zipfile.is_zipfile(stream):
        stream.seek(0)
        return [stream] * LEGACY_PROGRAMS
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        if packed := [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]:
            raise TorchFileError(f"{packed[0]!r} is compressed, as torch.save never does")
        for member in members:
            member.CRC = None  # type: ignore[assignment]   # some files come without; who wants them checked does it
        return [io.BytesIO(archive.read(member)) for member in members if member.filename.endswith(".pkl")]


def _check(program: IO[bytes]) -> None:
    """Raises TorchFileError for a long word; what is no pickle is left to torch, which says so better, unless it is long, too."""
    begin = program.tell()
    try:
        for opcode, argument, _ in pickletools.genops(program):
            if isinstance(argument, str | bytes) and _has_long_word(argument):
                raise TorchFileError(f"{opcode.name} with a word of more than {LONGEST_WORD} characters")
            begin = program.tell()
    except TorchFileError:
        raise
    except Exception:  # pickletools has many ways to say "broken"
        program.seek(begin)
        if _has_long_word(program.read()):
            raise TorchFileError("no pickle of torch.save") from None


def _has_long_word(text: str | bytes) -> bool:
    return len(text) > LONGEST_WORD and max(map(len, text.split()), default=0) > LONGEST_WORD
