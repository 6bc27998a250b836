"""The planted relations: frequencies, ceilings (check 10 of the world's specification), geometry, files."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from stages.datasets import planted_relations
from stages.datasets.relation_schema import SEGMENT, STEPS, proposal_columns
from stages.datasets.schema import Quality
from stages.params import World, parse
from stages.world import build
from stages.worlds.relation_ceilings import ceilings, groups, posterior, recalls
from stages.worlds.relation_files import RelationWorld
from stages.worlds.relation_settings import PlantedRelations
from stages.worlds.relations import RelationScm, names
from stages.worlds.settings import WorldError

ROOT = Path(__file__).resolve().parents[3]
ENTRY = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["worlds"]["relations"]


def with_videos(settings, **videos):
    splits = {name: dataclasses.replace(settings.splits[name], videos=count) for name, count in videos.items()}
    return dataclasses.replace(settings, splits=splits)


@pytest.fixture(scope="module")
def settings():
    return parse(PlantedRelations, ENTRY["relations"], "params.yaml: worlds.relations.relations")


@pytest.fixture(scope="module")
def world(settings):
    sizes = {"train": 600, "iid": 300, "interventional": 300, "reversed": 300}
    return RelationWorld(with_videos(settings, **sizes), ENTRY["seed"])


def relations(world, split):
    return [one for video in world.videos[split] for one in video.relations]


def test_head_and_tail_are_not_empty(world):
    sizes = {name: int(mask.sum()) for name, mask in groups(world.counts("train")).items()}
    assert sizes["head"] >= 2
    assert sizes["tail"] >= 1
    assert sum(sizes.values()) == 12


def test_what_is_frequent_is_no_guess_once_the_class_pair_tells_nothing(world):
    counts = world.counts("train")
    floor = {split: ceilings(world.scm, relations(world, split), counts)["frequency"] for split in world.videos}
    cut = floor["interventional"]
    assert cut["head"] > cut["body"] > cut["tail"]
    assert cut["tail"] < 0.05
    assert floor["iid"]["accuracy"] > 0.4 > 3 * cut["accuracy"]
    assert floor["iid"]["tail"] < min(floor["iid"]["head"], floor["iid"]["body"])
    assert floor["reversed"]["accuracy"] < cut["accuracy"]


def test_ceilings_pay_for_the_tail_with_the_head(world):
    counts = world.counts("train")
    values = {split: ceilings(world.scm, relations(world, split), counts) for split in ("iid", "interventional")}
    biased, even = (values["iid"][name] for name in ("with_back_door", "without_back_door"))
    assert biased["accuracy"] > even["accuracy"] + 0.1
    assert biased["head"] > even["head"]
    assert biased["tail"] < even["tail"] + 0.05
    biased, even = (values["interventional"][name] for name in ("with_back_door", "without_back_door"))
    assert even["mean_recall"] > biased["mean_recall"] + 0.08
    assert biased["head"] > even["head"]


def test_an_even_prior_treats_all_predicates_alike(world):
    truth = relations(world, "interventional")
    guess = posterior(world.scm, truth, world.scm.tables["interventional"]).argmax(axis=1)
    found = recalls(guess, np.array([one.predicate for one in truth]), world.counts("train"))
    parts = [found[name] for name in ("head", "body", "tail")]
    assert max(parts) - min(parts) < 0.15


def test_posteriors_sum_to_one_and_need_no_normaliser(world):
    truth = relations(world, "iid")[:20]
    found = posterior(world.scm, truth, world.scm.tables["biased"])
    np.testing.assert_allclose(found.sum(axis=1), 1)
    one = truth[0]
    prior = world.scm.tables["biased"][one.subject, one.object]
    distance = [((one.geometry - 1.5 * prototype) ** 2).sum() for prototype in world.scm.prototypes]
    plain = prior * np.exp(-np.array(distance) / (2 * 0.6**2))
    np.testing.assert_allclose(found[0], plain / plain.sum())


def test_predicates_follow_their_law(world):
    pairs = [(one.subject, one.object, one.predicate) for one in relations(world, "train")]
    usual = [p == world.scm.tables["biased"][s, o].argmax() for s, o, p in pairs]
    expected = np.mean([world.scm.tables["biased"][s, o].max() for s, o, _ in pairs])
    assert abs(np.mean(usual) - expected) < 3 * np.sqrt(0.25 / len(usual))
    even = np.bincount([one.predicate for one in relations(world, "interventional")], minlength=12)
    assert abs(even / even.sum() - 1 / 12).max() < 0.03


def test_reversed_makes_other_predicates_usual(world):
    biased, turned = world.scm.tables["biased"], world.scm.tables["reversed"]
    assert (biased.argmax(axis=2) != turned.argmax(axis=2)).all()
    np.testing.assert_allclose(turned.sum(axis=2), 1)


def test_boxes_show_the_geometry_and_stay_in_the_frame(world):
    settings = world.settings
    errors = []
    for one in relations(world, "iid")[:100]:
        subject, other = one.boxes.astype(float)
        size = [boxes[:, 2:] - boxes[:, :2] + 1 for boxes in (subject, other)]
        centre = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (subject, other)]
        offset = (centre[0] - centre[1]) / size[1]
        area = np.log(size[0].prod(axis=1) / size[1].prod(axis=1))
        seen = np.concatenate((offset, area[:, None]), axis=1)
        errors.append(np.concatenate((seen[0], seen[-1] - seen[0])) - one.geometry)
        assert one.boxes[..., :2].min() >= 0
        assert one.boxes[..., 2].max() < settings.width
        assert one.boxes[..., 3].max() < settings.height
    assert np.abs(errors).mean() < 0.05  # whole pixels


def test_more_videos_leave_the_earlier_ones_as_they_were(settings):
    few, many = (RelationWorld(with_videos(settings, iid=count, train=2), 1) for count in (2, 4))
    for one, other in zip(few.videos["iid"], many.videos["iid"], strict=False):
        for a, b in zip(one.relations, other.relations, strict=True):
            np.testing.assert_array_equal(a.boxes, b.boxes)
        for a, b in zip(few.detections(one), many.detections(other), strict=True):
            np.testing.assert_array_equal(a, b)


def test_another_seed_is_another_world(settings):
    one, other = (RelationScm(settings, seed) for seed in (1, 2))
    assert not np.allclose(one.prototypes, other.prototypes)
    assert not np.allclose(one.tables["biased"], other.tables["biased"])


def test_what_is_written_is_read_by_the_adapter(settings, tmp_path):
    small = RelationWorld(dataclasses.replace(with_videos(settings, train=3, iid=2), packing="files"), 5)
    written, facts = small.write(tmp_path, lambda: None)
    quality = Quality()
    samples = list(planted_relations.read(tmp_path / "upstream", "train", quality))
    assert not quality.counts
    assert [sample.video_id for sample in samples] == [video.video_id for video in small.videos["train"]]
    for sample, video in zip(samples, small.videos["train"], strict=True):
        assert [relation.triplet[1] for relation in sample.truth()] == [
            small.scm.predicates[one.predicate] for one in video.relations
        ]
        np.testing.assert_array_equal(sample.truth()[0].subject, video.relations[0].boxes[0])
    assert written["proposals"].files == written["appearance"].files == 5
    assert set(facts["ceilings"]) == {"train", "iid"}
    truth = pq.read_table(tmp_path / "truth" / "relations.parquet").to_pylist()
    assert len(truth) == sum(len(relations(small, split)) for split in ("train", "iid"))
    assert json.dumps(facts)


def test_proposals_lie_on_their_objects(world):
    video = world.videos["iid"][0]
    rows, looks = world.detections(video)
    begin, present, boxes, scores = proposal_columns(rows)
    assert set(begin.tolist()) == {0, 15}
    assert len(looks) == len(STEPS) * len(rows)
    assert rows.shape[1] == 1 + 5 * SEGMENT + 6
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert (boxes[~present] == 0).all()
    nearest = min(
        np.abs(boxes[0][present[0]] - truth[begin[0] : begin[0] + SEGMENT][present[0]]).max() for _, truth in video.objects
    )
    assert nearest < 30


def test_names_stand_in_alphabetical_order_as_data_sets_number_them():
    assert names(3, ("b", "a", "c", "d"), "x") == ["a", "b", "c"]
    assert names(3, ("a",), "class") == ["class000", "class001", "class002"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"usual_shares": (0.5, 0.1)}, "shares that add up to 1"),
        ({"predicates": 5}, "too few"),
        ({"frames": 20}, "less than one segment"),
        ({"usual": 1.5}, "probabilities"),
        ({"appearance_width": 3}, "one orthogonal vector"),
        ({"min_relations": 4}, "min <= max"),
    ],
)
def test_settings_that_make_no_world_are_refused(settings, changed, message):
    with pytest.raises(WorldError, match=message):
        dataclasses.replace(settings, **changed)


def test_the_stage_writes_the_same_bytes_every_time(settings, tmp_path):
    entry = World(seed=3, planted=None, rehearsal=None, relations=with_videos(settings, train=2, iid=1))
    once, again = (build("toy", entry, tmp_path / name) for name in ("a", "b"))
    assert once == again
    assert once["kind"] == "planted"
    assert once["features"]["proposals"]["files"] == 3
    assert once["ceilings"]["iid"]["with_back_door"]["accuracy"] >= 0


def test_an_entry_is_one_kind_of_world(settings):
    with pytest.raises(ValueError, match="exactly one of planted, rehearsal and relations"):
        World(seed=3, planted=None, rehearsal=None)
