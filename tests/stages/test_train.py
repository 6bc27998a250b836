import json
import multiprocessing
import random
import shutil
import signal
import time

import numpy as np
import pytest

from stages import train
from stages.features.store import FeatureStore
from stages.params import parse
from stages.tasks import moments
from stages.training.batches import MomentFeed
from stages.training.runs import load_run
from tests.stages import tiny

FILES = ("model.safetensors", "config.json", "history.csv")
# enough steps, and states often enough, that a kill falls anywhere
LONG = {"epochs": 12, "keep_every": 2, "select": "MR-full-mIoU"}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("tiny"))


def run(work, out, *more):
    """The run's files, trained in this process."""
    train.main(work.train_arguments(out, *more))
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    return {name: (out / name).read_bytes() for name in FILES}


def refusal(work, capsys, out, *more):
    """What the stage says when it refuses."""
    with pytest.raises(SystemExit) as stopped:
        train.main(work.train_arguments(out, *more))
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_a_run_can_be_rebuilt_from_its_folder(work, tmp_path):
    run(work, tmp_path / "run")
    model, record = load_run(tmp_path / "run", parse)
    assert record.widths == {"video": 11, "query": 7}
    assert record.features == {"video": ("clip", "slowfast"), "query": ("words",)}
    assert record.fps == tiny.FPS
    assert record.selection is not None
    assert record.selection["metric"] == "MR-full-mAP"
    assert set(record.inputs) >= {"samples/train.parquet", "features/clip", "confounders/video"}
    assert not model.training
    config = (tmp_path / "run/config.json").read_text()
    assert str(tmp_path) not in config
    assert str(work.folder) not in config


def test_two_runs_have_the_same_bytes_and_another_seed_has_others(work, tmp_path):
    first, again = run(work, tmp_path / "a"), run(work, tmp_path / "b")
    assert first == again
    assert run(work, tmp_path / "c", "--seed", "8")["model.safetensors"] != first["model.safetensors"]


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A data set with a longer training, and the files of that training uninterrupted."""
    folder = tmp_path_factory.mktemp("long")
    work = tiny.make(folder / "tiny")
    work.write_params(train=LONG)
    return work, run(work, folder / "whole")


def test_a_killed_process_is_continued_by_the_next_to_the_same_bytes(long, tmp_path):
    work, whole = long
    out = tmp_path / "run"
    process = work.train_process(out)
    while process.poll() is None and not (out / "resume" / "state.pt").exists():
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    shutil.rmtree(out)  # as DVC does before it runs a stage again
    process = work.train_process(out)
    _, messages = process.communicate()
    assert process.returncode == 0, messages
    assert "going on after step" in messages
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moments_it_ends_in_the_same_bytes(long, tmp_path, seed):
    """Forked processes, which need no time to start, so that kills fall into every part of the training."""
    work, whole = long
    moments, out = random.Random(seed), tmp_path / "run"
    for patience in [*(moments.uniform(0.05, 0.8) for _ in range(8)), None]:
        process = multiprocessing.get_context("fork").Process(target=train.main, args=(work.train_arguments(out),))
        process.start()
        process.join(patience)
        if process.exitcode is None:
            process.kill()
            process.join()
        else:
            assert process.exitcode == 0
            break
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


def test_changed_numbers_start_anew_and_say_so(work, tmp_path, caplog):
    out = tmp_path / "run"
    reference = run(work, tmp_path / "reference", "--epochs", "2")
    interrupted(work, out)
    assert run(work, out, "--epochs", "2") == reference
    assert "training starts anew: it belongs to another training: train.epochs was 3, is 2" in caplog.text


def interrupted(work, out):
    """A training that ends as if by Ctrl-C in its second epoch."""
    calls = []

    class Impatient(MomentFeed):
        def batch(self, indices, *, targets=True):
            calls.append(targets)
            if sum(calls) > 7:
                raise KeyboardInterrupt
            return super().batch(indices, targets=targets)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moments, "MomentFeed", Impatient)
        with pytest.raises(SystemExit, match="130"):
            train.main(work.train_arguments(out))
    assert (out / "resume" / "state.pt").exists()


def test_resuming_on_request_needs_something_to_resume(work, tmp_path, capsys):
    assert "cannot resume: no state.pt" in refusal(work, capsys, tmp_path / "run", "--resume")


def test_restarting_on_request_forgets_the_state(work, tmp_path, caplog):
    out = tmp_path / "run"
    interrupted(work, out)
    assert run(work, out, "--restart") == run(work, tmp_path / "other")
    assert "asked to start anew" in caplog.text


def test_weights_to_start_from_change_the_result_and_stand_in_the_record(work, tmp_path):
    first = run(work, tmp_path / "first")
    second = run(work, tmp_path / "second", "--checkpoint", str(tmp_path / "first"))
    assert second["model.safetensors"] != first["model.safetensors"]
    assert "checkpoint" in json.loads(second["config.json"])["inputs"]


def test_half_precision_and_several_parts_train_too(work, tmp_path):
    work.write_params(train={"accumulate": 2, "pad_multiple": 4, "repeat": 2, "epochs": 1})
    try:
        run(work, tmp_path / "run", "--amp", "bf16")
    finally:
        work.write_params()
    assert json.loads((tmp_path / "run/config.json").read_text())["train"]["amp"] == "bf16"


def test_released_numerics_train_too(work, tmp_path):
    work.write_params(model={"numerics": "released"}, train={"selection": "iid", "epochs": 1})
    try:
        run(work, tmp_path / "run", "--debug-nan")
    finally:
        work.write_params()


def test_a_missing_dictionary_is_named(work, tmp_path, capsys):
    arguments = ("--video-confounders", str(tmp_path / "none.npz"))
    assert "none.npz: no such file; build it with the dictionary stage" in refusal(work, capsys, tmp_path / "run", *arguments)


def test_a_dictionary_of_another_width_is_named(work, tmp_path, capsys):
    message = refusal(work, capsys, tmp_path / "run", "--video-confounders", str(work.dictionaries["query"]))
    assert "runs.tiny: causalvtg does not fit features and dictionaries" in message
    assert "query.npz" in message


def test_an_impossible_number_on_the_command_line_is_refused(work, tmp_path, capsys):
    assert "command line: epochs is 0, must be at least 1" in refusal(work, capsys, tmp_path / "run", "--epochs", "0")


def test_samples_without_features_are_an_error_unless_they_were_dropped_before(tmp_path, capsys, caplog):
    lacking = tiny.make(tmp_path / "tiny", videos=24)
    store = FeatureStore.open(lacking.features / "clip.zarr")
    rows = {item: np.array(store.rows(item)) for item in store.ids[:-2]}  # the last two training videos lose theirs
    for left, quality in (("none", {}), ("missing", {"missing": 2})):
        (lacking.features / "clip.zarr").rename(lacking.folder / left)
        tiny.write_store(lacking.features, "clip", rows, quality=quality)
        if not quality:
            assert "4 of " in (message := refusal(lacking, capsys, tmp_path / "run"))
            assert "samples have no features in " in message
            assert "run consolidate again" in message
        else:
            run(lacking, tmp_path / "run")
            assert "samples left out: their features are missing" in caplog.text


def test_the_help_has_an_example(capsys):
    with pytest.raises(SystemExit):
        train.main(["--help"])
    assert "python -m stages.train --name causalvtg-planted" in capsys.readouterr().out
