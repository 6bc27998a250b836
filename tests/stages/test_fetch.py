"""The command line of the fetch stage: exit codes, messages, environment, and being killed or stopped in the middle."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages import fetch
from tests.hub_process import RunningHub, running_hub

REPOSITORY = Path(__file__).parents[2]
LARGE = bytes(range(256)) * 20_000  # 5 MB
FILES = {"features/large.npz": LARGE, "features/small.npz": b"small", "labels.json": b"{}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("hub")) as running:
        running.put("owner/name", FILES)
        yield running


@pytest.fixture
def hub(server: RunningHub) -> RunningHub:
    server.calm()
    return server


@pytest.fixture
def params(tmp_path: Path) -> Path:
    """A params.yaml with the data set "demo" from the Hub that HF_ENDPOINT names, and "missing" from nowhere."""
    sources = "[{into: ., mirrors: [{hub: {repository: owner/name}}]}]"
    nowhere = "[{into: x.json, mirrors: [{file: {path: nowhere/x.json}}]}]"
    path = tmp_path / "params.yaml"
    path.write_text(
        f"datasets:\n  demo: {{adapter: planted, after: params.yaml, sources: {sources}}}\n"
        f"  missing: {{adapter: planted, after: params.yaml, sources: {nowhere}}}\n"
        "features: {demo: {}, missing: {}}\nworlds: {}\ndictionaries: {}\nruns: {}\nreports: {}\n"
    )
    return path


def command(params: Path, out: Path, *more: str, name: str = "demo") -> list[str]:
    return [sys.executable, "-m", "stages.fetch", "--params", str(params), "--name", name, "--out", str(out), *more]


def environment(hub: RunningHub, tmp_path: Path, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return {**inherited, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf_home"), "OMP_NUM_THREADS": "1", **more}


def run(params: Path, out: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(params, out), cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=120, check=False)


def start_and_wait_for_bytes(hub: RunningHub, params: Path, out: Path, tmp_path: Path) -> subprocess.Popen[str]:
    """A fetch in the middle of the large file, which the server sends at 1 MB a second."""
    hub.fault("slow", operation="storage", path="*large*", rate=1_000_000)
    process = subprocess.Popen(
        command(params, out),
        cwd=REPOSITORY,
        env=environment(hub, tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background jobs with SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 500_000 for path in (out / ".fetch/partial").glob("*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def assert_goes_on(hub: RunningHub, params: Path, out: Path, tmp_path: Path) -> None:
    """The same command again completes the data set from where the last one was."""
    assert not (out / "manifest.json").exists()
    hub.calm()
    done = run(params, out, environment(hub, tmp_path))
    assert done.returncode == 0, done.stderr
    assert {name: (out / name).read_bytes() for name in FILES} == FILES
    assert [entry["status"] for entry in hub.log("storage") if "large" in entry["path"]] == [206]
    assert "features/small.npz" not in {entry["path"] for entry in hub.log("resolve")}


def test_killed_fetch_goes_on_where_it_was(hub, params, tmp_path):
    out = tmp_path / "raw"
    process = start_and_wait_for_bytes(hub, params, out, tmp_path)
    process.kill()
    process.communicate()
    assert_goes_on(hub, params, out, tmp_path)


def test_ctrl_c_stops_cleanly_and_the_next_fetch_goes_on(hub, params, tmp_path):
    out = tmp_path / "raw"
    process = start_and_wait_for_bytes(hub, params, out, tmp_path)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - start < 10
    assert process.returncode == 130
    assert errors.splitlines()[-1] == f"{out}: stopped; complete files are kept, and the same command goes on from there"
    assert "Traceback" not in errors
    assert_goes_on(hub, params, out, tmp_path)


def test_whole_fetch_says_what_it_did_and_leaves_no_second_copy_in_the_clients_cache(hub, params, tmp_path):
    out = tmp_path / "raw"
    done = run(params, out, environment(hub, tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "demo: 3 files, 5,120,007 bytes: 3 fetched, 0 were there\n"
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == [
        "features/large.npz", "features/small.npz", "labels.json", "manifest.json"
    ]  # fmt: skip
    cached = [path for path in (tmp_path / "hf_home").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in cached) < 100_000


def test_file_that_cannot_be_written_is_one_line_and_is_gone_on_with(hub, params, tmp_path):
    """A limit on the size of files stands in for a full disk: the same error of the system on the same call."""
    out = tmp_path / "raw"
    limit = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)); "
    code = f"{limit}sys.argv = {command(params, out)[2:]!r}; runpy.run_module('stages.fetch', run_name='__main__')"
    env = environment(hub, tmp_path)
    limited = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)
    assert limited.returncode == 1
    assert f"FetchError: {out}: File too large. Complete files are kept" in limited.stderr
    assert "Traceback" not in limited.stderr
    assert_goes_on(hub, params, out, tmp_path)


def test_offline_is_honoured_and_the_manifest_says_what_has_to_be_there(hub, params, tmp_path):
    out = tmp_path / "raw"
    offline = environment(hub, tmp_path, HF_HUB_OFFLINE="1")
    before = run(params, out, offline)
    assert before.returncode == 1
    assert "HF_HUB_OFFLINE is set and no earlier fetch of owner/name at main is recorded" in before.stderr
    assert run(params, out, environment(hub, tmp_path)).returncode == 0
    manifest = (out / "manifest.json").read_bytes()
    hub.calm()
    assert run(params, out, offline).returncode == 0
    assert (out / "manifest.json").read_bytes() == manifest
    (out / "labels.json").unlink()
    after = run(params, out, offline)
    assert after.returncode == 1
    assert "HF_HUB_OFFLINE is set and labels.json is not there as the manifest has it" in after.stderr
    assert not hub.log()


def test_failed_fetch_is_one_screen_without_a_traceback(params, tmp_path, capsys):
    code = fetch.main(["--params", str(params), "--name", "missing", "--out", str(tmp_path / "raw")])
    errors = capsys.readouterr().err
    assert code == 1
    assert errors.startswith("FetchError: ")
    assert "file nowhere/x.json: nowhere/x.json is not there" in errors
    assert len(errors.splitlines()) <= 5


@pytest.mark.parametrize(
    ("name", "belongs"),
    [
        (
            "vidor",
            [
                "annotations: annotations/training/, annotations/validation/ (stages/datasets/vidor.py says in which layout)",
                "features/proposals: trajectory features 'proposals' (own detector and tracker, segments of 30 frames): "
                "npz, key 'features', width 231",
                "features/appearance: trajectory features 'appearance' (own detector, ten frames per proposal): "
                "npz, key 'features', width 2048",
            ],
        ),
        ("causal_vidqa", ["annotations: annotations/train.csv, ", "blip: frame features", "region_feat_aln: ", "text: query"]),
    ],
)
def test_all_that_is_to_be_copied_by_hand_is_named_with_what_belongs_there(name, belongs, tmp_path, capsys):
    assert fetch.main(["--params", str(REPOSITORY / "params.yaml"), "--name", name, "--out", str(tmp_path / "raw")]) == 1
    errors = capsys.readouterr().err
    assert ".gz" not in errors
    for line in belongs:
        assert f"  data/own/{name}/{line}" in errors


def test_server_that_is_too_busy_ends_with_the_exit_code_that_says_try_later(hub, params, tmp_path):
    hub.fault("status", operation="resolve", status=429, retry_after=86_400, times=-1)
    done = run(params, tmp_path / "raw", environment(hub, tmp_path))
    assert done.returncode == 75
    assert "the server asks to come back in 86400 s" in done.stderr


def test_git_server_that_is_out_of_reach_ends_with_the_exit_code_that_says_try_later(tmp_path, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        repository = f"http://127.0.0.1:{free.getsockname()[1]}/r.git"
    path = tmp_path / "params.yaml"
    git = f"{{repository: '{repository}', commit: {'a' * 40}, path: data}}"
    path.write_text(
        f"datasets:\n  demo: {{adapter: planted, after: params.yaml, sources: [{{into: ., mirrors: [{{git: {git}}}]}}]}}\n"
        "features: {demo: {}}\nworlds: {}\ndictionaries: {}\nruns: {}\nreports: {}\n"
    )
    assert fetch.main(["--params", str(path), "--name", "demo", "--out", str(tmp_path / "raw")]) == 75
    assert f"Failed to connect to 127.0.0.1 port {repository[17:-6]}" in capsys.readouterr().err


def test_unknown_data_set_is_answered_with_the_known_ones(params, tmp_path, capsys):
    assert fetch.main(["--params", str(params), "--name", "dmeo", "--out", str(tmp_path / "raw")]) == 2
    assert "no entry 'dmeo'" in (message := capsys.readouterr().err)
    assert "demo" in message
    assert not (tmp_path / "raw").exists()


def test_strange_files_are_named(params, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere/x.json").write_text("{}")
    (tmp_path / "raw").mkdir()
    for number in range(7):
        (tmp_path / f"raw/mine{number}").write_text("")
    assert fetch.main(["--params", str(params), "--name", "missing", "--out", "raw"]) == 0
    assert "raw: left alone, since no source lists it: mine0, mine1, mine2, mine3, mine4 and 2 more" in capsys.readouterr().err
    assert json.loads((tmp_path / "raw/manifest.json").read_text())["dataset"] == "missing"


def test_help_says_what_is_read_and_written(capsys):
    with pytest.raises(SystemExit) as done:
        fetch.main(["--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert all(
        part in text for part in ("reads ", "writes ", "manifest.json", "python -m stages.fetch", "exit code", "--accept-changes")
    )
