"""Names that come from outside (repositories, archives, folders): which may become a path below our own folder."""

from __future__ import annotations

import unicodedata

LONGEST_SEGMENT = 255  # bytes; the limit of every common file system


class UnsafeNameError(ValueError):
    """Why a name cannot become a path below our folder."""


def checked_name(name: str) -> str:
    """`name` itself, if joining it to a folder stays inside the folder on every system.

    Slashes separate; blanks, dots and any script are fine.

    Raises UnsafeNameError for absolute paths, drive letters, backslashes, "." and ".." segments, empty segments, control and
    direction-changing characters, text that is not UTF-8, segments over 255 bytes.
    """
    if not name:
        raise UnsafeNameError("it is empty")
    if name.startswith("/"):
        raise UnsafeNameError("it is an absolute path")
    for segment in name.split("/"):
        if segment == "":
            raise UnsafeNameError("it has an empty segment")
        if segment in (".", ".."):
            raise UnsafeNameError(f"it has the segment {segment!r}")
        if "\\" in segment:
            raise UnsafeNameError("it contains a backslash")
        if len(segment) > 1 and segment[1] == ":" and segment[0].isascii() and segment[0].isalpha():
            raise UnsafeNameError("it looks like a drive letter")
        _check_characters(segment)
        if len(segment.encode()) > LONGEST_SEGMENT:
            raise UnsafeNameError(f"a segment is longer than {LONGEST_SEGMENT} bytes")
    return name


def _check_characters(segment: str) -> None:
    if segment.isascii() and segment.isprintable():
        return
    for character in segment:
        category = unicodedata.category(character)
        if category == "Cs":
            raise UnsafeNameError("it is not valid UTF-8")
        # Cc: control. Cf: invisible, some reverse the reading direction; the joiners of Indic and Arabic scripts are let through.
        if category == "Cc" or (category == "Cf" and character not in "\u200c\u200d"):
            raise UnsafeNameError(f"it contains the control character U+{ord(character):04X}")
