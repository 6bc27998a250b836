"""No name from outside leaves its folder."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.sources.names import UnsafeNameError, checked_name


@pytest.mark.parametrize(
    "name",
    [
        "a.npz",
        "features/clip/-Oc6gSWB_HA_60.0_210.0.npz",
        "with blank/ü ß.json",
        "...",
        "a..b",
        "v_---9CpRcKoU",
        "日本語.pt",
        "क्‍ष",
    ],
)
def test_odd_but_harmless_names_pass(name):
    assert checked_name(name) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"), ("/etc/passwd", "absolute"), ("..", "segment '..'"), ("a/../b", "segment '..'"), ("./a", "segment '.'"),
        ("a//b", "empty segment"), ("a/", "empty segment"), ("C:\\Windows", "backslash"), ("C:evil", "drive letter"),
        ("a/c:evil", "drive letter"), ("\\\\host\\share", "backslash"), ("a\0b", "U+0000"), ("a\nb", "U+000A"),
        ("a\x7fb", "U+007F"), ("\u202egpj.exe", "U+202E"), ("a\ufeff", "U+FEFF"), ("\udce9", "UTF-8"), ("a" * 256, "255 bytes"),
        ("ü" * 128, "255 bytes"),
    ],
)  # fmt: skip
def test_names_that_could_leave_the_folder_or_deceive_are_refused(name, why):
    with pytest.raises(UnsafeNameError) as refusal:
        checked_name(name)
    assert why in str(refusal.value)


@given(st.text(alphabet=st.sampled_from("ab./\\:C \0\n"), max_size=12))
def test_whatever_passes_stays_below_its_folder_on_every_system(name):
    try:
        checked_name(name)
    except UnsafeNameError:
        return
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind("folder") / name
        assert path.parts[0] == "folder"
        assert len(path.parts) > 1
        assert ".." not in path.parts
