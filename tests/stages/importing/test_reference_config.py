from __future__ import annotations

import pytest

from stages.importing.reference_config import ReferenceConfigError, read_reference_config


def write(folder, **files: str):
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder / "main.py"


def test_assignments_are_read_as_data(tmp_path):
    path = write(
        tmp_path,
        main="""
'''A heading.'''
root = 'data/' + 'x'
short = dict(strides=(1, 2))
model = dict(**short, dims=[-1, 2.5], nested={'a': None, 'b': True}, path=root)
""",
    )
    assert read_reference_config(path) == {
        "root": "data/x",
        "short": {"strides": (1, 2)},
        "model": {"strides": (1, 2), "dims": [-1, 2.5], "nested": {"a": None, "b": True}, "path": "data/x"},
    }


def test_mappings_extend_those_of_the_files_they_are_based_on(tmp_path):
    path = write(
        tmp_path,
        main="_base_ = ['blocks', 'more']\nmodel = dict(loss=dict(weight=0.1))",
        blocks="model = dict(loss=dict(weight=1.0, kind='x'), top=50)",
        more="_base_ = 'root'\nextra = 1",
        root="epochs = 3",
    )
    assert read_reference_config(path) == {
        "model": {"loss": {"weight": 0.1, "kind": "x"}, "top": 50},
        "epochs": 3,
        "extra": 1,
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("import os", r"main\.py:1: expected an assignment of data"),
        ("a = 1\nb = open('x').read()", r"main\.py:2: \"open\('x'\)\.read\(\)\" is not data"),
        ("b = 1\na = dict(**b)", r"main\.py:2: 'dict\(\*\*b\)' is not data"),
        ("a = b", "'b' is not data"),
        ("a = 'x' + 1", "is not data"),
        ("a = (", "not a Python file of assignments"),
        ("a = '\0'", "not a Python file of assignments"),
        pytest.param("a = " + "-" * 30_000 + "1", "nested too deeply", id="beyond the parser's stack"),
        pytest.param("a = " + "-" * 5_000 + "1", "nested too deeply", id="beyond the interpreter's stack"),
        ("_base_ = 'nowhere'", r"nowhere\.py: no such file, on which .*main\.py is based"),
        ("_base_ = 'main'", r"main\.py: is based on itself"),
    ],
)
def test_what_is_not_data_is_refused_with_its_place(tmp_path, text, complaint):
    with pytest.raises(ReferenceConfigError, match=complaint):
        read_reference_config(write(tmp_path, main=text))
