"""What an offer states, and which names may be offered."""

from __future__ import annotations

import pytest

from stages.sources.digests import Digest
from stages.sources.errors import MirrorError
from stages.sources.offers import Offer, offered_name


def test_difference_names_the_first_fact_that_does_not_hold():
    digest = Digest(3, "a" * 64, "b" * 40)
    assert Offer("t", "n").difference(digest) is None
    assert Offer("t", "n", 3, "a" * 64, "b" * 40).difference(digest) is None
    assert Offer("t", "n", bytes=1000).difference(digest) == "has 3 bytes, expected 1,000"
    assert Offer("t", "n", sha256="c" * 64).difference(digest) == f"has sha256 {'a' * 64}, expected {'c' * 64}"
    assert Offer("t", "n", git_blob="c" * 40).difference(digest) == f"has git blob id {'b' * 40}, expected {'c' * 40}"


def test_unsafe_name_is_shown_with_its_mirror_and_without_its_effect_on_a_terminal():
    assert offered_name("features/ü.npz", "owner/name") == "features/ü.npz"
    with pytest.raises(MirrorError) as refusal:
        offered_name("a\x1b[2J", "owner/name at 0123")
    assert str(refusal.value).startswith(r"owner/name at 0123 lists a file named 'a\x1b[2J', which is not safe to write: ")
