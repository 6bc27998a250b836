"""Workspaces that share their stages through an S3-compatible server."""

from __future__ import annotations

import pytest

from pipelines.dvc import StageFailedError, Workspace
from tests.pipelines import s3_server, small_workspace
from tests.pipelines.small_workspace import STAGES_OF_ONE

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(s3_server.ABSENT), reason=s3_server.REASON)]


@pytest.fixture
def url(tmp_path, monkeypatch):
    for name, value in s3_server.NOBODY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", small_workspace.environment()["PATH"])
    with s3_server.bucket(tmp_path) as address:
        yield address


@pytest.fixture
def machine(tmp_path, url):
    """Make the workspace of another machine with the bucket as its remote."""

    def make(name):
        folder = small_workspace.make(tmp_path / name)
        small_workspace.dvc(folder, "remote", "add", "-d", "lab", "s3://lab/doflow")
        small_workspace.dvc(folder, "remote", "modify", "lab", "endpointurl", url)
        return folder

    return make


def outcomes(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with Workspace.open(share=True) as workspace:
        return [workspace.repro(name, lambda _line: None) for name in STAGES_OF_ONE]


def test_what_one_machine_ran_another_takes_from_the_bucket_with_the_same_bytes(machine, url, monkeypatch):
    a, b = machine("a"), machine("b")
    assert outcomes(a, monkeypatch) == ["ran"] * 5
    kept = s3_server.objects(url)
    assert any("/files/md5/" in key for key in kept)
    assert any("/runs/" in key for key in kept)

    (b / "train.py").write_text(small_workspace.TRAIN)  # the same code: nothing is trained again
    found = dict(zip(STAGES_OF_ONE, outcomes(b, monkeypatch), strict=True))
    assert {stage for stage, outcome in found.items() if outcome == "ran"} == {"fetch@small", "consolidate@small"}
    for name in ("data/runs/one", "data/results/one.json", "dvc.lock"):
        assert (a / name).read_bytes() == (b / name).read_bytes()


def test_a_bucket_that_is_gone_fails_the_stage_with_a_message_and_its_result_stays(machine, tmp_path, monkeypatch):
    folder = machine("c")
    small_workspace.dvc(folder, "remote", "modify", "lab", "url", "s3://elsewhere/doflow")
    monkeypatch.chdir(folder)
    with Workspace.open(share=True) as workspace:
        workspace.repro("fetch@small", lambda _line: None)  # its output is for no remote
        with pytest.raises(StageFailedError, match=r"elsewhere|remote"):
            workspace.repro("consolidate@small", lambda _line: None)
