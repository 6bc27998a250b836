"""Questions, from samples and stores to answers, scores and a page, on two dozen random videos."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stages import import_checkpoint, predict, score
from stages.features.store import FeatureStore
from stages.reporting.pages import read_page
from tests.stages import asked, published


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return asked.make(tmp_path_factory.mktemp("asked"))


@pytest.fixture(scope="module", params=list(asked.RUNS))
def finished(request, work, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param)
    work.train(request.param, out)
    assert work.evaluate(request.param, out) == 0
    return request.param, out


def predictions(out):
    return [json.loads(line) for line in (out / "results/predictions.jsonl").read_text().splitlines()]


def metrics(out):
    return json.loads((out / "results/metrics.json").read_text())


def test_every_question_is_answered_with_what_the_answer_rests_on(finished):
    name, out = finished
    rows = predictions(out)
    assert [row["sample_id"] for row in rows] == [f"iid{n}_0" for n in range(9)]
    for row in rows:
        assert row["correct"] == (row["prediction"] == row["answer"])
        assert sum(row["weights"]) == pytest.approx(1, abs=1e-4)
        assert set(row["chosen"]) <= set(range(asked.CLIPS))
        assert ("scores" in row) == (name != "igv")
    assert metrics(out)["iid.Acc"] == pytest.approx(100 * sum(row["correct"] for row in rows) / len(rows), abs=1e-5)


def test_rationales_are_held_against_the_evidence_and_against_chance(finished):
    name, out = finished
    found, page = metrics(out), read_page(out / "page.json")
    assert {f"iid.clip {what}" for what in ("precision", "recall", "IoU")} <= found.keys()
    assert ("iid.object precision" in found) == (name == "transtr")
    trivial = page.splits["iid"].baselines
    assert trivial["all clips"]["clip recall"] == 100
    assert ("random objects" in trivial) == (name == "transtr")
    assert {"most frequent answer", "most frequent by type"} <= trivial.keys()
    assert {group.name for group in page.breakdown["iid"]} == {"what", "who"}


def test_open_ended_answers_outside_the_vocabulary_can_only_be_missed(finished):
    name, out = finished
    if name != "igv":
        pytest.skip("has options")
    answers = json.loads((out / "answers.json").read_text())
    assert len(answers) == 3
    for row in predictions(out):
        assert (row["answer"] == -1) == (row["answer_text"] not in answers)
        assert row["answer"] != -1 or not row["correct"]
    assert metrics(out)["iid.answers in vocabulary"] < 100


def test_the_published_layout_is_what_a_scorer_reads(finished, tmp_path):
    name, out = finished
    if name == "igv":
        pytest.skip("MSVD-QA ids are those of its own file")
    rows = [asked.sample(n, options=True, split="iid") for n in range(9)]
    options = ",".join(f"a{n}" for n in range(5))
    lines = [f"video,qid,type,question,answer,{options}"]
    kinds = ["CW", "CH", "TN", "TC", "DC", "DL", "DO", "TP", "DO"]  # each group of the scorer has a question
    lines += [
        f"{one.video_id},0,{kind},{one.question},{one.answer_index},{','.join(one.options)},"
        for one, kind in zip(rows, kinds, strict=True)
    ]
    (tmp_path / "q.csv").write_text("\n".join(lines) + "\n")
    arguments = ["--benchmark", "nextqa", "--predictions", out / "results/splits/iid.answers.json", "--corrected"]
    assert score.main([*map(str, arguments), "--questions", str(tmp_path / "q.csv"), "--out", str(tmp_path / "s.json")]) == 0
    corrected = json.loads((tmp_path / "s.json").read_text())["corrected"]["qa"]["unrounded"]
    assert corrected["Acc"] == pytest.approx(metrics(out)["iid.Acc"], abs=1e-5)


def test_features_beyond_the_memory_budget_give_the_same_bytes(finished, work, tmp_path):
    name, out = finished
    other = work.copy(tmp_path / "streamed")
    other.change(name, "train", {**asked.TRAIN, "budget_bytes": 0})
    other.train(name, tmp_path / "run")
    assert (tmp_path / "run/model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()
    assert other.evaluate(name, tmp_path / "run") == 0
    assert (tmp_path / "run/results/predictions.jsonl").read_bytes() == (out / "results/predictions.jsonl").read_bytes()


def test_a_split_is_predicted_as_it_is_evaluated(finished, work, tmp_path):
    name, out = finished
    arguments = ["--run", out, "--dataset", asked.RUNS[name]["dataset"], "--split", "iid", "--out", tmp_path / "p.jsonl"]
    assert predict.main([*map(str, arguments), "--data", str(work.folder), "--params", str(work.params)]) == 0
    assert (tmp_path / "p.jsonl").read_bytes() == (out / "results/predictions.jsonl").read_bytes()


@pytest.fixture
def own(finished, work, tmp_path):
    """The first video and question of the split as files and words of one's own: what the command line says of them."""
    name, out = finished
    features, item = work.folder / "features" / asked.RUNS[name]["dataset"], asked.sample(0, options=True, split="iid")

    def save(store, key, shape=None):
        rows = FeatureStore.open(features / f"{store}.zarr").rows(key)
        np.save(tmp_path / f"{key}.{store}.npy", np.array(rows).reshape(shape or rows.shape))
        return tmp_path / f"{key}.{store}.npy"

    arguments = ["--features", save("clips", item.video_id), "--query", item.question, "--duration", asked.SECONDS]
    texts = [] if name == "eigv" else [save("question", item.sample_id)]
    if name != "igv":
        arguments += ["--options", *item.options]
        texts += [save("candidates", key) for key in item.text_items]
    if name == "transtr":
        arguments += ["--objects", save("objects", item.video_id, (asked.CLIPS, asked.OBJECTS, -1))]
    common = ["--run", out, "--data", work.folder, "--params", work.params, "--device", "cpu", "--out", tmp_path / "own.jsonl"]
    return tmp_path, [*common, *arguments], ["--query-features", *texts]


def call(*arguments):
    return predict.main([str(part) for several in arguments for part in several])


@pytest.mark.parametrize("given", [True, False], ids=["text features as files", "text features of the data set"])
def test_a_video_of_ones_own_gets_the_answer_that_the_split_gives(given, finished, own):
    folder, arguments, texts = own
    assert call(arguments, texts if given else [], ["--plot", folder / "own.png"]) == 0
    (mine,) = (json.loads(line) for line in (folder / "own.jsonl").read_text().splitlines())
    published = predictions(finished[1])[0]
    for field in ("prediction", "prediction_text", "chosen", "span"):
        assert mine[field] == published[field]
    assert mine["weights"] == pytest.approx(published["weights"], abs=1e-4)
    assert (mine["answer"], mine["correct"], mine["query"]) == (-1, None, "who is there")
    assert (folder / "own.png").read_bytes().startswith(b"\x89PNG")


def without(arguments, option, count):
    place = arguments.index(option)
    return [*arguments[:place], *arguments[place + 1 + count :]]


def test_what_is_lacking_of_a_video_of_ones_own_is_named(finished, own, capsys):
    name, (folder, arguments, texts) = finished[0], own
    cases = [(arguments, [*texts, *texts[1:]], "give one file each, in this order: who is there")]
    cases += [(without(arguments, "--query", 1), ["--query", "is it new"], "no text features for 'is it new'")]
    cases += [(arguments, ["--text-encoder", "clip"], "--text-encoder: ")]
    if name == "igv":
        cases += [(arguments, [*texts, "--options", "a", "b"], "answers from a vocabulary")]
    else:
        cases += [(without(arguments, "--options", 4), texts, f"0 --options for 1 --query: {name} chooses")]
        cases += [(without(arguments, "--options", 4), [*texts, "--options", "cup"], "two candidate answers or more")]
    if name == "transtr":
        cases += [(without(arguments, "--objects", 1), texts, "give --objects FILE, (frames, objects, 9)")]
        few = np.load(folder / "iid0.objects.npy")[:2]
        np.save(folder / "few.npy", few)
        cases += [(without(arguments, "--objects", 1), [*texts, "--objects", folder / "few.npy"], "objects of 2 frames")]
        np.save(folder / "long.npy", np.ones((asked.CLIPS + 1, asked.WIDTHS["clips"]), np.float32))
        cases += [(without(arguments, "--features", 1), [*texts, "--features", folder / "long.npy"], "takes 2 to 6")]
    else:
        cases += [(arguments, [*texts, "--objects", folder / "iid0.clips.npy"], "sees no objects")]
    for one, more, complaint in cases:
        assert call(one, more) == 2
        assert complaint in capsys.readouterr().err
    assert not (folder / "own.jsonl").exists()


HGA = {
    "hidden": 8, "words": 8, "cell": "gru", "graph_layers": 1, "fusion_inner": 8, "fusion_chunks": 2, "fusion_rank": 2,
    "dropout": 0.1,
}  # fmt: skip
OPEN = {
    "method": "transtr",
    "dataset": "open",
    "features": {"video": ["clips"], "query": ["question"], "objects": ["objects"]},
    "model": asked.RUNS["transtr"]["model"] | {"answers": 3},
}
PUBLISHED = {
    **{name: {**asked.RUNS[name], "model": asked.RUNS[name]["model"] | {"backbone": HGA}} for name in ("igv", "eigv")},
    "transtr": asked.RUNS["transtr"],
    "transtr-open": OPEN,
}


@pytest.fixture(scope="module", params=list(PUBLISHED))
def imported(request, work, tmp_path_factory):
    """A run of a network that the reference has too, its checkpoint, and what imports this."""
    folder, name = tmp_path_factory.mktemp("published"), request.param
    other = work.copy(folder)
    asked.write_params(other.params, PUBLISHED)
    other.train(name, folder / "trained", "--epochs", "1")
    assert other.evaluate(name, folder / "trained") == 0
    method = PUBLISHED[name].get("method", name)
    from_here = ["--method", method, "--checkpoint", published.checkpoint(folder / "trained", folder / "best.pth")]
    told = ["--config", other.params, "--run", name]
    return name, other, [*from_here, *told]


def imports(*arguments):
    return import_checkpoint.main([str(part) for several in arguments for part in several])


def test_a_published_checkpoint_is_evaluated_and_predicts_as_the_run_it_was_made_of(imported):
    name, other, arguments = imported
    answers = ["--answers", other.folder / "trained/answers.json"] if name in ("igv", "transtr-open") else []
    assert imports(arguments, answers, ["--out", other.folder / "run"]) == 0
    assert other.evaluate(name, other.folder / "run") == 0
    assert json.loads((other.folder / "run/config.json").read_text())["fps"] == 0  # frames are spread over any length
    assert predictions(other.folder / "run") == predictions(other.folder / "trained")
    dataset = ["--dataset", PUBLISHED[name]["dataset"], "--split", "iid", "--data", other.folder, "--params", other.params]
    assert call(["--run", other.folder / "run", "--settings", name, "--out", other.folder / "p.jsonl"], dataset) == 0
    assert (other.folder / "p.jsonl").read_bytes() == (other.folder / "trained/results/predictions.jsonl").read_bytes()


def test_the_answers_of_open_questions_have_to_come_along(imported, capsys):
    name, other, arguments = imported
    out = ["--out", other.folder / "refused"]
    cases = [(["--tokenizer", other.folder], f"--tokenizer: {arguments[1]} reads no words")]
    if name in ("igv", "transtr-open"):
        (other.folder / "few.json").write_text('["cup", "dog"]')
        cases += [(["--answers", other.folder / "few.json"], "few.json: 2 answers; the checkpoint has 3 classes")]
        cases += [(["--answers", other.folder / "none.json"], "none.json: no such file")]
    else:
        cases += [(["--answers", other.folder / "none.json"], f"--answers: {arguments[1]} chooses among options")]
    for more, complaint in cases:
        assert imports(arguments, more, out) == 2
        assert complaint in capsys.readouterr().err
    assert not (other.folder / "refused").exists()
    assert imports(arguments, ["--out", other.folder / "without"]) == 0
    said = f"{other.folder / 'without/answers.json'}: {arguments[1]} answers from 3 classes"
    assert (said in capsys.readouterr().err) == (name in ("igv", "transtr-open"))


def test_a_run_that_does_not_say_where_its_objects_are_is_refused(imported, capsys):
    name, other, _ = imported
    if not name.startswith("transtr"):
        pytest.skip("sees no objects")
    record = json.loads((other.folder / "trained/config.json").read_text())
    del record["features"]["objects"]
    (other.folder / "trained/config.json").write_text(json.dumps(record))
    assert other.evaluate(name, other.folder / "trained") == 2
    assert "transtr sees objects, but features names no store of them; import the checkpoint again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("igv", {"grounding": False}),
        ("eigv", {"grounding": False}),
        ("eigv", {"mix": False}),
        ("eigv", {"contrast": "clips"}),
        ("eigv", {"contrast": "questions"}),
        ("transtr", {"frame_choice": "uniform", "object_choice": "random"}),
    ],
)
def test_the_backbone_alone_and_single_ablations_train(name, changes, work, tmp_path):
    other = work.copy(tmp_path / "other")
    other.change(name, "model", {**asked.RUNS[name]["model"], **changes})
    other.train(name, tmp_path / "run", "--epochs", "1")
    assert other.evaluate(name, tmp_path / "run") == 0
    if changes == {"grounding": False}:
        assert metrics(tmp_path / "run")["iid.clip recall"] == 100


@pytest.mark.parametrize(
    ("name", "path", "value", "complaint"),
    [
        ("igv", "model", {**asked.RUNS["igv"]["model"], "answers": 9}, "set answers: 4"),
        ("igv", "dataset", "choice", "its questions have options"),
        ("eigv", "dataset", "open", "candidates.zarr: no zarr.json"),
        ("igv", "features", {"video": ["clips"], "query": ["clips"]}, "neither 'train0_0' nor 'train0_0#0' is in it"),
    ],
)
def test_a_run_that_does_not_fit_its_questions_says_how(name, path, value, complaint, work, tmp_path, capsys):
    other = work.copy(tmp_path / "other")
    other.change(name, path, value)
    with pytest.raises(SystemExit) as stopped:
        other.train(name, tmp_path / "run")
    assert stopped.value.code == 2
    text = capsys.readouterr().err
    assert complaint in text
