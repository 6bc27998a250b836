"""How names and numbers are written on a page. Nothing here escapes HTML: the templates and the script that draws do."""

from __future__ import annotations

import hashlib
import re

_CONTROL = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)
_UNSEEN = _CONTROL | _SURROGATES
MINUS = "\u2212"
MISSING = "\u2013"


def visible(text: str) -> str:
    """The text with control characters as their pictures and halves of surrogate pairs as the replacement character.

    Queries are published byte for byte: a NUL or a lone surrogate in one of them must not break the page, nor vanish from it.
    """
    return text.translate(_UNSEEN)


def number(value: float | None, digits: int = 2) -> str:
    """A metric as the papers print it: two decimals, a real minus sign, a dash where nothing was measured."""
    if value is None:
        return MISSING
    text = f"{value:.{digits}f}"
    return text.replace("-", MINUS) if float(text) != 0 else f"{0:.{digits}f}"


def difference(value: float, digits: int = 2) -> str:
    """A signed difference, e.g. "+1.20"."""
    text = number(value, digits)
    return text if text.startswith(MINUS) else f"+{text}"


def metric(name: str) -> str:
    """Short form of a flat metric name for column heads: the range "full" of moment retrieval is what papers print bare."""
    return visible(name.removeprefix("MR-full-").replace("HL-min-", "HL-"))


def anchor(kind: str, name: str) -> str:
    """Fragment id of a part of the page, e.g. "run-cra-nextgqa". Other characters give way to a digest, so that none collide."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name)
    if plain == name:
        return f"{kind}-{name}"
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{kind}-{plain.strip('-')}-{digest}"
