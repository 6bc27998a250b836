from dataclasses import replace
from types import SimpleNamespace

from stages.consolidation.provenance import recipe_of, source_of
from stages.features.settings import Feature

CLIP = Feature(kind="clip", files="clip", format="npz", key="features", width=4, extractor="made up")
HUB = {"kind": "hub", "repository": "a/b", "revision": "main", "commit": "c" * 40}
OWN = {"kind": "file", "path": "/home/somebody/copy", "into": "."}


def fetched(sha256="1" * 64, origin=HUB):
    return SimpleNamespace(bytes=1, sha256=sha256, origin=origin)


FILES = {"clip/a.npz": fetched(), "clip/b.npz": fetched("2" * 64), "train.jsonl": fetched("3" * 64)}


def test_the_source_names_repository_and_commit_and_digests_the_files_of_the_feature_only():
    source = source_of(CLIP, FILES)
    assert (source["repository"], source["revision"], source["files"]) == ("hub:a/b", "c" * 40, 2)
    assert source_of(CLIP, {**FILES, "train.jsonl": fetched("4" * 64)}) == source
    for changed in ({"clip/b.npz": fetched("5" * 64)}, {"clip/c.npz": fetched()}):
        assert source_of(CLIP, {**FILES, **changed})["manifest_digest"] != source["manifest_digest"]


def test_the_path_of_an_own_copy_does_not_reach_the_store():
    source = source_of(CLIP, {"clip/a.npz": fetched(origin=OWN)})
    assert "somebody" not in str(source)
    assert source["repository"] == "own copy"


def test_files_from_two_mirrors_name_both():
    source = source_of(CLIP, {"clip/a.npz": fetched(), "clip/b.npz": fetched(origin={"kind": "url", "url": "https://x/y"})})
    assert source["repository"] == "https://x/y + hub:a/b"


def test_the_recipe_changes_with_everything_that_the_bytes_depend_on():
    source = source_of(CLIP, FILES)
    recipe = recipe_of("d", "clip", CLIP, source, ["a", "b"])
    assert recipe == recipe_of("d", "clip", CLIP, source, ["b", "a"])
    assert recipe == recipe_of("d", "clip", replace(CLIP, archive=True), source, ["a", "b"])
    others = [
        recipe_of("e", "clip", CLIP, source, ["a", "b"]),
        recipe_of("d", "clip", replace(CLIP, non_finite="zero"), source, ["a", "b"]),
        recipe_of("d", "clip", CLIP, {**source, "manifest_digest": "0"}, ["a", "b"]),
        recipe_of("d", "clip", CLIP, source, ["a"]),
    ]
    assert len({recipe, *others}) == 5
