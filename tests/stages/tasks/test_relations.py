"""The task "relations" through the stages train and evaluate, on a planted world of a few videos."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from stages import evaluate, predict, score, train
from stages.auditing.outcomes import Outcomes
from stages.datasets import planted_relations
from stages.datasets.relation_schema import RelationSample
from stages.datasets.samples import read_samples, write_samples
from stages.features.store import StoreInfo, StoreWriter
from stages.params import parse
from stages.relations.vocabulary import Vocabulary
from stages.tasks import relations
from stages.tasks.task import Data, load_task
from stages.training.runs import load_run
from stages.worlds.relation_files import RelationWorld
from stages.worlds.relation_settings import PlantedRelations

ROOT = Path(__file__).resolve().parents[3]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
VIDEOS = {"train": 40, "iid": 6, "interventional": 4}


@dataclasses.dataclass
class Work:
    """Samples and stores of a small world, and a params file with one run."""

    folder: Path
    world: RelationWorld

    @property
    def data(self):
        return Data(samples=self.folder / "samples", features=self.folder / "features")

    @property
    def inputs(self):
        return ["--samples", str(self.data.samples), "--features", str(self.data.features)]

    @property
    def predicates(self):
        """How many of the world's predicates so few videos show."""
        return len({one.predicate for several in self.world.videos.values() for video in several for one in video.relations})

    def write_params(self, **changed):
        """One epoch; `changed`: parts of the run and what is new in them."""
        run = json.loads(json.dumps(PARAMS["runs"]["ivrd-planted"]))
        run["train"] |= {"epochs": 1, "validate_every": 1}
        run["evaluate"] |= {"splits": ["iid", "interventional"], "submission": True, "examples": 2}
        run["model"] |= {"predicates": self.predicates}
        for part, values in changed.items():
            run[part] |= values
        sections = {name: {} for name in PARAMS}
        sections["datasets"] = {"planted_relations": PARAMS["datasets"]["planted_relations"]}
        sections["features"] = {"planted_relations": PARAMS["features"]["planted_relations"]}
        sections["reports"] = {"demo": PARAMS["reports"]["demo"]}
        path = self.folder / "params.yaml"
        path.write_text(yaml.safe_dump({**sections, "runs": {"tiny": run}}))
        return path

    def train(self, name="run", **changed):
        """Train into folder/<name>."""
        out = self.folder / name
        none = str(ROOT / "stages/vocabulary.py")
        files = ["--video-confounders", none, "--query-confounders", none, "--params", str(self.write_params(**changed))]
        train.main(["--name", "tiny", *self.inputs, "--out", str(out), *files])
        return out

    def evaluate(self, run, results):
        """Evaluate a run; exit code."""
        files = ["--results", str(results), "--page", str(results / "page.json"), "--params", str(self.folder / "params.yaml")]
        return evaluate.main(["--name", "tiny", "--run", str(run), *self.inputs, *files])


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("relations")
    settings = parse(PlantedRelations, PARAMS["worlds"]["relations"]["relations"], "params.yaml")
    splits = {name: dataclasses.replace(settings.splits[name], videos=count) for name, count in VIDEOS.items()}
    world = RelationWorld(dataclasses.replace(settings, splits=splits, packing="files"), 2030)
    world.write(folder / "world", lambda: None)
    write_samples(planted_relations, folder / "world/upstream", folder / "samples", dataset="planted_relations")
    videos = sorted((video for several in world.videos.values() for video in several), key=lambda one: one.video_id)
    found = {video.video_id: world.detections(video) for video in videos}
    for place, name in enumerate(("proposals", "appearance")):
        with StoreWriter(folder / f"features/{name}.zarr") as writer:
            for video, rows in found.items():
                writer.add(video, rows[place].astype(np.float32))
            writer.finish(StoreInfo(dataset="planted_relations", feature=name, kind="trajectory"))
    return Work(folder, world)


@pytest.fixture(scope="module")
def run(work):
    return work.train()


@pytest.fixture(scope="module")
def results(work, run):
    assert work.evaluate(run, work.folder / "results") == 0
    return work.folder / "results"


def metrics(results):
    return json.loads((results / "metrics.json").read_text())


def test_a_run_knows_its_names_and_what_training_shows(work, run):
    names = Vocabulary.read(run)
    assert list(names.classes) == work.world.scm.classes
    assert sum(names.counts.values()) == sum(names.triplets.values())
    model, record = load_run(run, parse)
    assert record.features == {"video": ("appearance",), "query": (), "objects": ("proposals",)}
    assert model.prototype_count.sum() > 0
    assert "mAP" in (run / "history.csv").read_text().splitlines()[0]


def test_the_same_run_has_the_same_bytes(work, run):
    again = work.train("again")
    for name in ("model.safetensors", "config.json", "relations.json", "history.csv"):
        assert (again / name).read_bytes() == (run / name).read_bytes()


def test_every_split_has_its_numbers_and_the_guess_from_frequencies(results):
    found = metrics(results)
    for split in ("iid", "interventional"):
        assert {f"{split}.{name}" for name in ("mAP", "R@10", "mR@10", "head-mR@10", "P@1", "pair-Acc")} <= set(found)
        assert f"{split}.baseline.frequency.mAP" in found
    assert -1 <= found["iid.prototype cosine"] <= 1
    assert found["iid.n_scored"] == VIDEOS["iid"]


def test_the_published_scorer_reads_what_is_written_and_agrees(work, results, tmp_path):
    samples = read_samples(work.data.samples, "iid", RelationSample)
    truth = {
        one.video_id: [
            {
                "triplet": list(relation.triplet),
                "duration": [relation.first, relation.end],
                "sub_traj": relation.subject.tolist(),
                "obj_traj": relation.object.tolist(),
            }
            for relation in one.truth()
        ]
        for one in samples
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    files = ["--predictions", str(results / "splits/iid.results.json"), "--ground-truth", str(tmp_path / "truth.json")]
    assert score.main(["--benchmark", "vidor", *files, "--out", str(tmp_path / "out.json")]) == 0
    scored = json.loads((tmp_path / "out.json").read_text())["profiles"]["standard"]["unrounded"]
    for name in ("mAP", "P@1", "P@5"):
        assert 100 * scored[name] == pytest.approx(metrics(results)[f"iid.{name}"], abs=1e-5)


def test_outcomes_tell_of_every_true_relation_whether_it_is_found(work, results):
    records = [json.loads(line) for line in (results / "predictions.jsonl").read_text().splitlines()]
    found = relations.outcomes(work.data, "iid", records)
    assert isinstance(found, Outcomes)
    assert len(found.ids) == len(set(found.ids)) == sum(len(video.relations) for video in work.world.videos["iid"])
    assert np.mean(found.values["R@10"]) == pytest.approx(metrics(results)["iid.R@10"], abs=1e-5)
    assert tuple(found.values) == relations.MEASURES
    groups = np.array([found.values[f"{group} R@5"] for group in ("head", "body", "tail")])
    np.testing.assert_array_equal(np.isfinite(groups).sum(axis=0), 1)


def test_the_page_shows_examples_and_predicates(results):
    page = json.loads((results / "page.json").read_text())
    assert len(page["examples"]) == 4
    shown = page["examples"][0]["relations"]
    assert [one["hit"] for one in shown["predicted"]].count(True) == sum(
        one["rank"] is not None and one["rank"] <= 20 for one in shown["truth"]
    )
    assert page["breakdown"]["iid"][0]["group"].endswith("predicates")
    assert page["splits"]["iid"]["baselines"]["frequency"]["mAP"] >= 0


def test_the_task_is_found_by_its_name():
    assert load_task("relations") is relations


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": {"predicates": 99}}, "model.predicates is 99, but the annotations of planted_relations name"),
        ({"features": {"objects": []}}, "one store of appearance"),
        ({"train": {"select": "mAQ"}}, "no validation metric 'mAQ'"),
    ],
)
def test_what_does_not_fit_is_refused(work, capsys, changed, message):
    with pytest.raises(SystemExit) as stopped:
        work.train("refused", **changed)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_run_without_its_names_is_refused(work, run, tmp_path, capsys):
    for file in run.iterdir():
        if file.is_file() and file.name != "relations.json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    work.write_params()
    assert work.evaluate(tmp_path, tmp_path / "results") == 2
    assert "relations.json: not there" in capsys.readouterr().err


def predicted(work, run, tmp_path, *more, params=None):
    """The predict stage on the split iid, or on what `more` says; the exit code."""
    for kind in ("samples", "features"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "planted_relations").symlink_to(work.folder / kind)
    what = more if "--features" in more else ("--dataset", "planted_relations", "--split", "iid", *more)
    files = ["--run", run, "--data", tmp_path, "--params", params or work.write_params(), "--out", tmp_path / "p.jsonl"]
    return predict.main([*map(str, (*files, *what))])


def test_a_split_is_predicted_as_it_is_evaluated(work, run, results, tmp_path):
    assert predicted(work, run, tmp_path) == 0
    assert (tmp_path / "p.jsonl").read_bytes() == (results / "predictions.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("more", "params", "message"),
    [
        (("--plot", "p.png"), None, "--plot: ivrd predicts relations, which this picture does not show"),
        ((), "other.yaml", "no entry 'tiny' that says how pairs become relations; name one with --settings"),
        (("--features", "a.npy", "--query", "b"), None, "relations between trajectories that a detector proposes"),
    ],
)
def test_what_cannot_be_predicted_of_relations_is_refused_before_anything_is_written(
    more, params, message, work, run, tmp_path, capsys
):
    if params:
        work.write_params()
        renamed = (work.folder / "params.yaml").read_text().replace("  tiny:\n", "  other:\n")
        (tmp_path / params).write_text(renamed)
    assert predicted(work, run, tmp_path, *more, params=params and tmp_path / params) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "p.jsonl").exists()
