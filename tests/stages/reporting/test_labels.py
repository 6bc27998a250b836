"""How names and numbers are written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stages.reporting import labels


def test_control_characters_become_pictures_and_lone_surrogates_the_replacement():
    assert labels.visible("a\x00b\n\x7f\x85\ud800") == "a\u2400b\u240a\u2421\ufffd\ufffd"


@given(st.text(st.characters()))
def test_whatever_is_shown_can_be_written_as_utf8(text):
    assert len(labels.visible(text)) == len(text)
    labels.visible(text).encode("utf-8")


def test_numbers_have_two_decimals_a_real_minus_and_no_negative_zero():
    assert [labels.number(value) for value in (3.14159, -2.0, -0.001, None)] == ["3.14", "\u22122.00", "0.00", "\u2013"]
    assert [labels.difference(value) for value in (1.0, -1.0, 0.0)] == ["+1.00", "\u22121.00", "+0.00"]


def test_anchors_of_awkward_names_differ_and_hold_only_plain_characters():
    names = ["a b", "a/b", "a<b", "a-b", "../a b"]
    anchors = [labels.anchor("run", name) for name in names]
    assert len(set(anchors)) == len(names)
    assert all(set(anchor) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_") for anchor in anchors)
    assert labels.anchor("run", "cra-nextgqa") == "run-cra-nextgqa"
