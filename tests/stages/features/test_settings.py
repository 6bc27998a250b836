from typing import Any

import pytest

from stages.features.settings import Feature

GIVEN: Any = {"kind": "clip", "files": "clip", "format": "npz", "key": "features", "width": 4, "extractor": "made up"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": "/etc"}, "files: expected a path below"),
        ({"files": "a/../../b"}, "files: expected a path below"),
        ({"files": ""}, "files: expected a path below"),
        ({"key": None}, "key: format npz needs key"),
        ({"format": "pt"}, "key: format pt has no key"),
        ({"width": 0}, "width: expected at least 1"),
        ({"fps": 0.0}, "fps: expected rows per second above 0"),
        ({"fps": float("inf")}, "fps: expected rows per second above 0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Feature(**{**GIVEN, **change})


def test_faults_are_errors_unless_said_otherwise():
    feature = Feature(**GIVEN)
    assert (feature.missing, feature.non_finite, feature.empty, feature.extra) == ("error", "error", "error", "ignore")
