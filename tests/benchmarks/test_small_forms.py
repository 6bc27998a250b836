"""Benchmarks that build a workspace or start processes run through in a small form: an hour is not spent on their mistakes."""

from __future__ import annotations

import json
import mmap
import sys
import time

import pytest
import torch
import yaml

from benchmarks import dvc_noop, growth, memory, question_steps
from benchmarks.products import flop_of
from stages.datasets.samples import read_samples
from tests.faults import line

VIDEOS = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("growth")
    growth.prepare_features(folder, VIDEOS)
    growth.prepare_records(folder, VIDEOS)
    return folder


@pytest.mark.parametrize("work", growth.WORK)
def test_each_piece_of_work_grows_over_data_that_is_there(work, data):
    found = growth.one(work, data)
    assert found["seconds"] > found["limit_seconds"] > 0
    assert found["mib"] >= 0


def test_the_work_is_what_it_says(data):
    growth.consolidation(data)()
    assert (data / "again.zarr/zarr.json").is_file()
    growth.parsing(data)()
    assert len(read_samples(data / "samples", "iid")) == VIDEOS * growth.QUERIES
    assert growth.scoring(data)()["brief"]["MR-full-mIoU"] > 0


def test_memory_that_is_held_and_given_back_again_is_seen():
    with growth.Held() as held, mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.write(b"x" * len(memory))  # pages of its own, not some that the allocator had kept
        time.sleep(20 * growth.SAMPLING)
    assert 60 < held.mib < 200


@pytest.mark.slow
def test_sizes_are_compared_within_a_round(data):
    found = growth.measure("scoring", {1: data, 4: data}, rounds=1)
    assert found["x1"]["time_ratio_median"] == 1
    assert 0.2 < found["x4"]["time_ratio_median"] < 5  # the same data


@pytest.mark.slow
def test_nothing_to_do_is_what_dvc_finds_in_the_workspace(tmp_path):
    params = yaml.safe_dump(line.params(), sort_keys=False).encode()
    assert dvc_noop.up_to_date(tmp_path, params) > 10
    assert "Running stage" not in dvc_noop.dvc(tmp_path, "repro")
    (tmp_path / "data/samples/planted").write_text("others")
    assert "Running stage" in dvc_noop.dvc(tmp_path, "repro", "--dry")


@pytest.mark.slow
def test_a_profile_says_where_the_time_goes(tmp_path):
    dvc_noop.up_to_date(tmp_path, yaml.safe_dump(line.params(), sort_keys=False).encode())
    found = dvc_noop.shares(tmp_path)
    assert sorted(found) == sorted(dvc_noop.PARTS)
    assert min(found.values()) > 0
    assert found["graph of all stages"] + found["the target's stages"] < 100


def test_the_most_memory_of_a_process_is_its_own():
    few = memory.peak_mib([sys.executable, "-c", "pass"])
    many = memory.peak_mib([sys.executable, "-c", "x = b'x' * (200 << 20)"])
    assert 195 < many - few < 205


@pytest.mark.slow
def test_steps_are_timed_at_the_sizes_asked_for(capsys):
    figures = question_steps.measured(["igv", "ivrd"], batch=2, rounds=1, tiny=True)
    assert [figures[method]["batch"] for method in ("igv", "ivrd")] == [2, 2]
    assert set(figures["igv"]["candidates"]) == {"released", "corrected", "large product"}
    assert set(figures["ivrd"]["candidates"]) == {"corrected", "large product"}
    assert json.dumps(figures)


@pytest.mark.parametrize("cell", [torch.nn.LSTM, torch.nn.GRU])
def test_products_of_recurrent_layers_are_counted(cell):
    gates = 4 if cell is torch.nn.LSTM else 3
    layer, x = cell(24, 16, batch_first=True), torch.randn(5, 7, 24, requires_grad=True)
    once = 2 * 5 * 7 * gates * 16 * (24 + 16)
    assert flop_of(lambda: layer(x)) == once
    whole = flop_of(lambda: layer(x)[0].sum().backward())
    assert whole == pytest.approx(3 * once, rel=0.05)  # the state before the first step is zero, whose products may be left out
