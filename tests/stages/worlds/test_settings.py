"""Settings that make no world are refused with the setting, the reason and the way out."""

from dataclasses import replace

import pytest

from stages.worlds.settings import Long, Rehearsed, WorldError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scenes": 8}, "scenes: 8 is no multiple of objects 6"),
        ({"groups": 9}, "groups: 9 is not within"),
        ({"latent": 22}, "latent: 22 coordinates cannot hold 23 orthogonal concepts"),
        ({"min_events": 1}, "one event alone would stand out"),
        ({"min_clips": 7}, "spans with gaps do not fit"),
        ({"scene_bias": 1.2}, r"scene_bias: 1.2 is not within 0\.\.1"),
        ({"long": Long(share=1.5, clip_seconds=6.0)}, r"long\.share"),
    ],
)
def test_a_number_that_makes_no_world_is_refused(demo, change, message):
    with pytest.raises(WorldError, match=message):
        replace(demo, **change)


def test_words_must_be_like_one_of_the_views(demo):
    with pytest.raises(WorldError, match="no view 'clap'; views: clip, slowfast"):
        replace(demo, text=replace(demo.text, like="clap"))


def test_query_ids_of_two_splits_may_not_meet(demo):
    splits = {**demo.splits, "iid": replace(demo.splits["iid"], first_qid=1999)}
    with pytest.raises(WorldError, match=r"splits\.iid\.first_qid: 1999 lies within the ids of train, which reach up to 1999"):
        replace(demo, splits=splits)


def test_names_of_splits_are_file_names(demo):
    with pytest.raises(WorldError, match="letters, digits, _"):
        replace(demo, splits={"a/b": demo.splits["train"]})


def rehearsed(**change):
    settings = {
        "of": "videos",
        "path": "clip",
        "prefix": "",
        "format": "npz",
        "key": "features",
        "width": 16,
        "dtype": "float16",
        "extra_rows": 0,
        "marks": 0,
        "max_tokens": None,
        "packing": "files",
        "part_bytes": None,
    }
    return Rehearsed(**settings | change)


def test_an_npz_needs_a_key_and_bare_arrays_have_none():
    assert rehearsed(format="pt", key=None).key is None
    with pytest.raises(WorldError, match="npz needs a key, pt and h5 have none"):
        rehearsed(format="pt")
    with pytest.raises(WorldError, match="only archives are cut into parts"):
        rehearsed(part_bytes=10)
