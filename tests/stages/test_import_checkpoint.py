from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.methods.causalvtg import Config, Model
from models.reference_keys import causalvtg as keys
from stages import evaluate
from stages.import_checkpoint import main
from stages.params import load_params, parse
from stages.training.runs import load_run, read_record
from tests.parity import Case
from tests.parity_cases.causalvtg_network import grounding
from tests.stages import published, tiny

CASE = Path(__file__).parents[1] / "data" / "parity" / "causalvtg" / "eval_b3_s4_pad"


@pytest.fixture
def checkpoint(tmp_path):
    """The weights of a parity case inside the wrapper that the reference's engine writes."""
    state = {f"module.{name}": value for name, value in load_file(CASE / "weights.safetensors").items()}
    torch.save({"meta": {"epoch": 36, "iter": 7000}, "state_dict": state, "optimizer": {"state": {}}}, tmp_path / "epoch_36.pth")
    return tmp_path / "epoch_36.pth"


def random_weights(config: Config, widths: dict[str, int], path: Path) -> Path:
    """A reference checkpoint of a network that has learnt nothing."""
    model = Model(config, widths=widths, confounders={side: torch.zeros(3, width) for side, width in widths.items()})
    torch.save(keys.to_reference(model.state_dict(), keys.key_table(config.strides)), path)
    return path


def run(checkpoint: Path, out: Path, *more: str) -> int:
    return main(["--method", "causalvtg", "--checkpoint", str(checkpoint), "--out", str(out), *more])


def test_imported_run_decodes_what_the_reference_decoded(checkpoint, tmp_path):
    assert run(checkpoint, tmp_path / "run") == 0
    model, record = load_run(tmp_path / "run", parse)
    case = Case.read(CASE)
    batch = grounding(case.inputs, [label["vid"] for label in case.config["labels"]])
    with torch.no_grad():
        moments = model.decode(model(batch, None), batch)
    for index, one in enumerate(moments):
        torch.testing.assert_close(one.windows, torch.from_numpy(case.outputs[f"boundary/{index}"]), atol=1e-4, rtol=0.0)
    assert (record.method, record.model["numerics"], record.seed) == ("causalvtg", "released", None)


def test_every_tensor_survives_the_import(checkpoint, tmp_path):
    run(checkpoint, tmp_path / "run")
    theirs = load_file(CASE / "weights.safetensors")
    back = keys.to_reference(load_file(tmp_path / "run" / "model.safetensors"), keys.key_table((1, 2, 4, 8)))
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)


def test_what_nothing_told_is_listed(checkpoint, tmp_path, capsys):
    run(checkpoint, tmp_path / "run")
    said = capsys.readouterr().out
    assert "140 tensors of causalvtg, numerics released" in said
    assert "heads = 8" in said
    assert "fps = 1.0" in said


def test_reference_configuration_fills_in(checkpoint, tmp_path, capsys):
    (tmp_path / "config.py").write_text(
        "data = dict(val=dict(fps=0.5))\nmodel = dict(loss_cfg=dict(loss_sal=dict(loss_weight=0.1)))"
    )
    assert run(checkpoint, tmp_path / "run", "--config", str(tmp_path / "config.py")) == 0
    record = read_record(tmp_path / "run")
    assert (record.fps, record.model["loss_weights"]["sal"]) == (0.5, 0.1)
    assert "fps" not in capsys.readouterr().out


def test_reference_configuration_in_json_fills_in(checkpoint, tmp_path, capsys):
    config = tmp_path / "main.json"
    config.write_text(json.dumps({"data": {"fps": 0.5}, "model": {"loss_sal": {"loss_weight": 0.1}}}))
    assert run(checkpoint, tmp_path / "run", "--config", str(config)) == 0
    record = read_record(tmp_path / "run")
    assert (record.fps, record.model["loss_weights"]["sal"]) == (0.5, 0.1)
    for wrong, complaint in (("[1]", "expected one JSON object, got a list"), ("{", "not JSON")):
        config.write_text(wrong)
        assert run(checkpoint, tmp_path / "run", "--config", str(config)) == 2
        assert f"main.json: {complaint}" in capsys.readouterr().err
    assert run(checkpoint, tmp_path / "run", "--config", str(tmp_path / "none.json")) == 2
    assert "none.json: no such file" in capsys.readouterr().err
    assert run(checkpoint, tmp_path / "run", "--config", str(tmp_path)) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_record_of_another_run_fills_in(checkpoint, tmp_path):
    run(checkpoint, tmp_path / "first")
    record = json.loads((tmp_path / "first" / "config.json").read_text())
    record |= {"dataset": "charades_sta_clip", "features": {"video": ["clip", "slowfast"], "query": ["clip_text"]}, "fps": 0.25}
    record["model"]["top"] = 7
    (tmp_path / "first" / "config.json").write_text(json.dumps(record))
    assert run(checkpoint, tmp_path / "second", "--config", str(tmp_path / "first" / "config.json")) == 0
    second = read_record(tmp_path / "second")
    assert (second.dataset, second.fps, second.model["top"]) == ("charades_sta_clip", 0.25, 7)
    assert second.features == {"video": ("clip", "slowfast"), "query": ("clip_text",)}


def test_params_must_name_the_run_and_fit_the_checkpoint(checkpoint, tmp_path, capsys):
    params = ("--config", str(Path(__file__).parents[2] / "params.yaml"))
    assert run(checkpoint, tmp_path / "run", *params) == 2
    assert "which entry of runs? give --run NAME" in capsys.readouterr().err
    assert run(checkpoint, tmp_path / "run", *params, "--run", "causalvtg-planted") == 2
    assert "hidden is 32 by the shapes of the checkpoint, but 64 by the configuration" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_params_tell_dataset_features_and_rate(tmp_path):
    params = Path(__file__).parents[2] / "params.yaml"
    entry = load_params(params).runs["causalvtg-planted"]
    made = random_weights(dataclasses.replace(entry.model, numerics="released"), {"video": 160, "query": 64}, tmp_path / "a.pth")
    assert run(made, tmp_path / "run", "--config", str(params), "--run", "causalvtg-planted") == 0
    record = read_record(tmp_path / "run")
    assert (record.dataset, record.fps, record.clips) == ("planted", 0.5, None)
    assert record.features == {"video": ("clip", "slowfast"), "query": ("clip_text",)}
    assert record.model["numerics"] == "released"  # what a reference checkpoint holds fits no other
    assert record.model["loss_weights"] == dataclasses.asdict(entry.model.loss_weights)


def test_a_published_checkpoint_is_evaluated(tmp_path):
    work = tiny.make(tmp_path)
    work.write_params(model={"numerics": "released"})
    made = random_weights(load_params(work.params).runs["tiny"].model, {"video": 11, "query": 7}, tmp_path / "best.pth")
    assert run(made, tmp_path / "run", "--config", str(work.params), "--run", "tiny") == 0
    arguments = ["--name", "tiny", "--run", tmp_path / "run", "--samples", work.samples, "--features", work.features]
    arguments += ["--results", tmp_path / "results", "--page", tmp_path / "page.json", "--params", work.params]
    assert evaluate.main([*map(str, arguments)]) == 0


def test_an_older_run_in_the_place_leaves_nothing_behind(checkpoint, tmp_path):
    for name in ("history.csv", "answers.json", "vocabulary.npz", "tokenizer/tokenizer.json"):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text("of another")
    assert run(checkpoint, tmp_path / "run") == 0
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"model.safetensors", "config.json"}


def test_every_published_method_is_tried_with_a_checkpoint_that_is_evaluated():
    """Here, and in the tests of the lines of questions, grounded questions and moments without times."""
    assert published.methods() == {"causalvtg", "igv", "eigv", "transtr", "cra", "cpl", "ccr"}


def test_unknown_and_missing_keys_are_listed(tmp_path, capsys):
    state = load_file(CASE / "weights.safetensors")
    del state["coef"], state["pooling.att.weight"]
    torch.save({"state_dict": state | {"head.weight": torch.zeros(1)}}, tmp_path / "a.pth")
    assert run(tmp_path / "a.pth", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert "1 unknown keys: head.weight; 2 missing keys: coef, pooling.att.weight" in said
    assert not (tmp_path / "run").exists()


def test_wrong_shape_and_failed_training_leave_an_older_run_untouched(checkpoint, tmp_path, capsys):
    assert run(checkpoint, tmp_path / "run") == 0
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    state = load_file(CASE / "weights.safetensors")
    for changed, complaint in (
        ({"adapter.video_map.0.weight": torch.zeros(31)}, "video_map.norm_in.weight has shape (31,), expected (30,)"),
        ({"coef": torch.full((4,), torch.nan)}, "not finite: offset_scale"),
    ):
        torch.save({"state_dict": state | changed}, tmp_path / "a.pth")
        assert run(tmp_path / "a.pth", tmp_path / "run") == 2
        assert complaint in capsys.readouterr().err
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"model.safetensors", "config.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"epoch_36.pth", "a.pth", "run"}


def test_method_without_published_checkpoints_is_reported(checkpoint, tmp_path, capsys):
    assert main(["--method", "nothing", "--checkpoint", str(checkpoint), "--out", str(tmp_path / "run")]) == 2
    assert "no method 'nothing'" in capsys.readouterr().err


def test_same_checkpoint_gives_the_same_bytes(checkpoint, tmp_path):
    run(checkpoint, tmp_path / "a" / "run")
    shutil.copy(checkpoint, tmp_path / "moved.pth")
    run(tmp_path / "moved.pth", tmp_path / "b" / "run")
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "a" / "run" / name).read_bytes() == (tmp_path / "b" / "run" / name).read_bytes()
