"""Worlds that the tests of this folder share, drawn once."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from stages.params import World, parse
from stages.worlds.planted import PlantedWorld
from stages.worlds.questions import QuestionWorld
from stages.worlds.settings import KINDS, Long, Planted, View

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def demo():
    """The settings of the demo's world, as params.yaml has them."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["worlds"]["demo"]["planted"]
    return parse(Planted, raw, "params.yaml: worlds.demo.planted")


@pytest.fixture(scope="session")
def question_settings(demo):
    """The numbers at which questions about objects were measured: more objects and groups, clearer views, one bias."""
    return replace(
        demo,
        scenes=12,
        objects=12,
        groups=4,
        min_clips=16,
        max_clips=16,
        max_events=3,
        log_length_mean=1.6,
        scene_bias=0.8,
        temporal_bias=0.0,
        causal_strength=0.4,
        latent=36,
        event_scene=0.0,
        views={
            "clip": View(actor=0.7, predicate=0.3, object=0.9, scene=1.0, sigma=0.35, width=64),
            "slowfast": View(actor=0.3, predicate=1.2, object=0.27, scene=0.5, sigma=0.35, width=64),
        },
    )


@pytest.fixture(scope="session")
def world(demo):
    """The demo's world."""
    return PlantedWorld(demo, 2026)


@pytest.fixture(scope="session")
def question_world(question_settings):
    """A world at the numbers of the questions."""
    return PlantedWorld(question_settings, 7)


@pytest.fixture(scope="session")
def tiny(demo):
    """A world small enough to enumerate and to write many times: 2 scenes, 2 objects, 3 predicates, short videos."""
    splits = {name: replace(split, videos=4 if name == "train" else 24) for name, split in demo.splits.items()}
    views = {name: replace(view, width=20) for name, view in demo.views.items()}
    sizes = {"scenes": 2, "objects": 2, "predicates": 3, "actors": 2, "groups": 1, "latent": 10}
    return replace(
        demo,
        **sizes,
        min_clips=6,
        max_clips=8,
        max_events=2,
        log_length_mean=1.0,
        views=views,
        text=replace(demo.text, width=24),
        splits=splits,
    )


@pytest.fixture(scope="session")
def question_entry():
    """The entry `questions` of params.yaml: the world of questions at its demo values."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["worlds"]["questions"]
    return parse(World, raw, "params.yaml: worlds.questions")


@pytest.fixture(scope="session")
def asked_world(question_entry):
    """That world, drawn."""
    return QuestionWorld(question_entry.planted, question_entry.questions, question_entry.seed)


@pytest.fixture(scope="session")
def few(question_entry):
    """Settings of a world of questions that is written in a second: every kind is asked, some videos are long, some crowded."""
    planted = question_entry.planted
    splits = {name: replace(split, videos=6 if name == "train" else 4) for name, split in planted.splits.items()}
    kinds = dict.fromkeys(KINDS, 1.0)
    regions = replace(question_entry.questions.regions, boxes=8, objects=4, crowded_objects=8, crowded_share=0.5)
    long = Long(share=0.5, clip_seconds=6.0)
    return replace(planted, splits=splits, long=long), replace(question_entry.questions, kinds=kinds, regions=regions)
