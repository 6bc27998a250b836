"""Every command of README.md and stages/audits.md is executed by a test, or stands in a table with the reason why it is not."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from tests import workspace

README = "\n".join((workspace.ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "stages/audits.md"))
PROGRAMS = ("dvc", "make", "python", "prefect", "doflow", "pip", "source", "export", "apt-get", "dask")
FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Executed by other tests: what the command begins with -> a test and the file where it stands.
ELSEWHERE = {
    "make demo": ("tests/test_line.py", "test_another_folder_gives_the_same_lock_even_when_stages_are_killed"),
    "JOBS=1 make demo": ("tests/pipelines/test_side_by_side.py", "test_"),
    "make help": ("tests/test_readme.py", "test_targets_of_make_are_listed_and_can_be_made"),
    "make setup": ("tests/test_readme.py", "test_targets_of_make_are_listed_and_can_be_made"),
    "make repro": ("tests/test_readme.py", "test_targets_of_make_are_listed_and_can_be_made"),
    "make rehearse-charades": ("tests/test_rehearsal.py", "test_"),
    "make bench": ("tests/benchmarks/test_table.py", "test_"),
    "python -m tests.rehearse": ("tests/test_rehearsal.py", "test_"),
    "python -m stages.predict": ("tests/stages/test_predict.py", "test_"),
    "python -m stages.import_checkpoint": ("tests/stages/test_import_checkpoint.py", "test_"),
    "python -m stages.describe": ("tests/test_howto.py", "test_a_method_is_added_as_the_page_says"),
    "python -m stages.score": ("tests/stages/test_score.py", "test_"),
    "python -m stages.doctor": ("tests/stages/test_doctor.py", "test_"),
    "python -m stages.<stage> --help": ("tests/test_imports.py", "test_every_stage_explains_itself_with_an_example"),
    "python -m benchmarks.orchestration": ("tests/pipelines/test_experiment.py", "test_"),
    'python -c "from pipelines.experiment': ("tests/pipelines/test_experiment.py", "def call"),
    "doflow": ("tests/stages/test_commands.py", "test_"),
    "prefect server start": ("tests/pipelines/prefect_server.py", '"server", "start"'),
    "export PREFECT_API_URL": ("tests/pipelines/prefect_server.py", "PREFECT_API_URL"),
    "prefect work-pool create": ("tests/pipelines/test_experiment.py", '"work-pool", "create"'),
    "prefect work-pool set-concurrency-limit": ("tests/pipelines/test_two_workers.py", '"set-concurrency-limit"'),
    "prefect deploy --all": ("tests/pipelines/test_experiment.py", '"deploy", "--all"'),
    "prefect worker start": ("tests/pipelines/two_machines.py", '"worker", "start", "--pool", "gpu", "--limit", "1"'),
    "prefect deployment run": ("tests/pipelines/two_machines.py", '"deployment", "run", "experiment/gpu", "--params"'),
    "prefect flow-run cancel": ("tests/pipelines/test_two_workers.py", '"flow-run", "cancel"'),
}

# Never executed: the reason.
NOT_EXECUTED = {
    "make test": "it is what executes this test",
    "source .venv/bin/activate": "every test runs with that environment's programs first",
    "export PREFECT_API_DATABASE_CONNECTION_URL": "needs a Postgres server",
    "prefect server start --host 0.0.0.0": "opens a port to the network",
    "pip install distributed": "installs a package; tests/stages/test_semantic_graph.py uses it where it is there",
    "dask scheduler": "needs what the line before installs; the same test starts a cluster where it is there",
    "dask worker": "as `dask scheduler`",
    "apt-get install chromium": "installs a program; the tests of the page skip without it",
}

# Executed below in a small workspace whose stages take no time and bear the same names; {remote} is a folder.
IN_ORDER = (
    "dvc repro evaluate@causalvtg-planted",
    "dvc repro report@demo",
    "dvc repro report@audits",
    "dvc repro audit@igv",
    "dvc repro audit@ivrd",
    "dvc repro",
    "git commit",  # dvc.lock among them: without it there is nothing to compare with
    "dvc exp run -n faster -S runs.matching-planted.optim.lr=1e-2 evaluate@matching-planted",
    "dvc params diff",
    "dvc metrics diff",
    "dvc plots diff",
    "dvc exp show --only-changed",
    "dvc exp apply faster",
    "git commit",
    "dvc metrics diff HEAD~1 HEAD",
    "dvc exp run -S runs.causalvtg-planted.optim.lr=1e-3 evaluate@causalvtg-planted",
    "git checkout params.yaml dvc.lock",
    "dvc checkout",
    "dvc remote add -d lab {remote}",
    "dvc push --run-cache",
    "dvc repro --pull",
    "dvc exp run --queue -S 'runs.causalvtg-planted.seed=1,2,3' evaluate@causalvtg-planted",
)
LONG = {"dvc queue start": "trains in processes of DVC's own; `dvc exp run --queue` before it is executed"}

GRAPH = """
stages:
  train:
    foreach: ${runs}
    do:
      cmd: mkdir -p data/runs && echo ${item.optim.lr} ${item.seed} > data/runs/${key}
      params: ["runs.${key}"]
      outs: ["data/runs/${key}"]
  evaluate:
    foreach: ${runs}
    do:
      cmd: python evaluate.py ${key}
      deps: ["data/runs/${key}", evaluate.py]
      metrics: ["data/results/${key}/metrics.json"]
      plots: ["data/results/${key}/history.csv": {x: epoch, y: total}]
  audit:
    foreach: [igv, ivrd]
    do:
      cmd: mkdir -p data/audits && cp data/runs/causalvtg-planted data/audits/${item}
      deps: [data/runs/causalvtg-planted]
      outs: ["data/audits/${item}"]
  report:
    foreach: [demo, audits]
    do:
      cmd: mkdir -p data/reports && cat data/results/causalvtg-planted/metrics.json data/audits/igv > data/reports/${item}
      deps: [data/results/causalvtg-planted/metrics.json, data/audits/igv]
      outs: ["data/reports/${item}"]
"""
EVALUATE = """
import json, pathlib, sys
rate, seed = pathlib.Path(f"data/runs/{sys.argv[1]}").read_text().split()
folder = pathlib.Path(f"data/results/{sys.argv[1]}")
folder.mkdir(parents=True, exist_ok=True)
(folder / "metrics.json").write_text(json.dumps({"iid.MR-full-mAP": 1000 * float(rate) + int(seed)}))
(folder / "history.csv").write_text(f"epoch,total\\n0,1\\n1,{rate}\\n")
"""
RUN = {"seed": 0, "optim": {"lr": 0.002}}
DRIVER = """
import json, subprocess, sys
from dvc.cli import main
for line in json.load(sys.stdin):
    print("$", *line, flush=True)
    if code := main(line[1:]) if line[0] == "dvc" else subprocess.run(line).returncode:
        sys.exit(f"{line}: exit {code}")
    print(flush=True)
"""


def commands():
    """Every command of the page, without its comment, its prompt and the end of a line in the midst of it, in order."""
    paragraphs = FENCED.sub("", README).split("\n\n")
    fenced = [line.removeprefix("$ ") for block in FENCED.findall(README) for line in block.splitlines()]
    inline = [" ".join(text.split()) for paragraph in paragraphs for text in re.findall(r"`([^`]+)`", paragraph)]
    found = [line.split("  #")[0].rstrip() for line in (*fenced, *inline)]
    starts = re.compile(rf"(JOBS=1 )?({'|'.join(PROGRAMS)})( |$)")
    return list(dict.fromkeys(line for line in found if starts.match(line) and line not in set(PROGRAMS) - {"doflow"}))


def stages():
    """Every stage of the graph, from the two files as they are."""
    graph = yaml.safe_load((workspace.ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    params = yaml.safe_load((workspace.ROOT / "params.yaml").read_text(encoding="utf-8"))
    return {f"{kind}@{entry}" for kind, stage in graph.items() for entry in params[stage["foreach"].strip("${}")]}


def begins(command, table):
    return [start for start in table if command == start or command.startswith((f"{start} ", f"{start}="))]


def targets_in_the_graph(command):
    """Whether it brings stages up to date that the graph has. They take minutes to days, or need published features first: what
    `dvc repro` does with a target is executed below, that these are targets is looked up."""
    targets = command.removeprefix("dvc repro ").split()
    return command.startswith("dvc repro ") and set(targets) <= stages()


@pytest.mark.parametrize("command", commands())
def test_a_command_is_executed_or_has_a_reason_not_to_be(command):
    remote = re.sub(r"(dvc remote add -d lab) .*", r"\1 {remote}", command)
    assert (
        remote in IN_ORDER
        or command in LONG
        or begins(command, ELSEWHERE)
        or begins(command, NOT_EXECUTED)
        or targets_in_the_graph(command)
    )


@pytest.mark.parametrize(("path", "text"), sorted(set(ELSEWHERE.values())))
def test_what_is_said_to_execute_a_command_is_there(path, text):
    assert text in (workspace.ROOT / path).read_text(encoding="utf-8")


def test_no_entry_of_the_tables_is_about_a_command_that_is_gone():
    page = commands()
    for start in (*ELSEWHERE, *NOT_EXECUTED):
        assert any(begins(command, [start]) for command in page), start


def test_targets_of_make_are_listed_and_can_be_made():
    said = subprocess.run(["make", "help"], cwd=workspace.ROOT, capture_output=True, text=True, check=True).stdout
    for target in sorted({match for match in re.findall(r"`(?:JOBS=1 )?make ([\w-]+)", README) if match != "help"}):
        assert f"make {target}" in said
        done = subprocess.run(["make", "--dry-run", target], cwd=workspace.ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_dvc_does_what_the_page_says(tmp_path):
    work = tmp_path / "work"
    workspace.git_repository(work)
    (work / "dvc.yaml").write_text(GRAPH)
    (work / "evaluate.py").write_text(EVALUATE)
    (work / ".gitignore").write_text("/data/\n/dvc_plots/\n")
    workspace.write_params(work, {"runs": dict.fromkeys(("causalvtg-planted", "matching-planted"), RUN)})
    lines = [shlex.split(command.format(remote=tmp_path / "remote")) for command in IN_ORDER]
    commit = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "state"]
    lines = [part for line in lines for part in ([["git", "add", "."], commit] if line[0] == "git" else [line])]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(lines),
        cwd=work,
        env=workspace.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    said = dict(re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", done.stdout, re.MULTILINE))
    assert "0.002   0.01" in said["dvc params diff"]
    assert re.search(r"iid\.MR-full-mAP +2\.0 +10\.0 +8\.0", said["dvc metrics diff"])
    assert re.search(r"iid\.MR-full-mAP +2\.0 +10\.0 +8\.0", said["dvc metrics diff HEAD~1 HEAD"])
    assert "dvc_plots" in said["dvc plots diff"]
    assert "faster" in said["dvc exp show --only-changed"]
    assert (tmp_path / "remote").is_dir()
