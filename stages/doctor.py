"""Is this machine ready? Looks at everything doflow needs from it, and says what to do where something is missing.

reads   requirements.lock, .dvc/config, and the machine: Python, packages, memory, disk, GPU, git, network
        HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, STANZA_RESOURCES_DIR
writes  nothing

Each line is `ok`, `note` (something does not work here that not everybody needs) or `problem` (doflow will not run as it is).

e.g.    python -m stages.doctor
        python -m stages.doctor --need-gb 60        room that you are going to need below data/

exit code   0: no problem.  1: at least one.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PYTHON = (3, 11)
STANZA_PARTS = ("tokenize", "pos", "lemma", "depparse")
TIMEOUT = 10.0  # seconds for the Hub and for each program asked
SHOWN = 6
SETUP = "`make setup`, and run doflow with .venv/bin/python"


@dataclass(frozen=True)  # kw_only is younger than some Pythons that check_python has to turn away
class Finding:
    """What was looked at, how it stands, and what to do about it."""

    topic: str
    state: Literal["ok", "note", "problem"]
    text: str
    advice: str = ""


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Python is new enough."""
    text = ".".join(map(str, version)) + f", {platform.system()} {platform.machine()}"
    if version < PYTHON:
        return Finding(
            topic="Python", state="problem", text=text, advice="install Python 3.11 or newer, then `make setup PYTHON=...`"
        )
    return Finding(topic="Python", state="ok", text=text)


def check_packages(lock: Path) -> Finding:
    """Every package of the lock file is installed in the version it pins."""
    if not lock.is_file():
        advice = "run it from the root of the repository"
        return Finding(topic="packages", state="problem", text=f"there is no {lock}", advice=advice)
    wrong, count = [], 0
    for line in lock.read_text(encoding="utf-8").splitlines():
        name, pinned, version = line.split("#")[0].split(";")[0].strip().partition("==")
        if not pinned:
            continue
        count += 1
        try:
            installed = importlib.metadata.version(name.split("[")[0])
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if installed.split("+")[0] != version.strip().split("+")[0]:  # +cpu, +cu126: builds of one version
            wrong.append(f"{name} is {installed}, not {version.strip()}")
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        text = f"{len(wrong)} of {count} differ from {lock.name}: {', '.join(wrong[:SHOWN])}{more}"
        return Finding(topic="packages", state="problem", text=text, advice=SETUP)
    return Finding(topic="packages", state="ok", text=f"all {count} of {lock.name}")


def check_machine() -> Finding:
    """Cores and memory, for information."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    text = f"{len(os.sched_getaffinity(0))} cores, {memory:.0f} GB of memory"
    if memory < 7:
        advice = "lower train.budget_bytes of the runs: features beyond it are read from disk"
        return Finding(topic="machine", state="note", text=text, advice=advice)
    return Finding(topic="machine", state="ok", text=text)


def check_disk(folder: Path, needed: float) -> Finding:
    """There is room below data/."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    text = f"{free:.1f} GB free for {folder.resolve()}, {needed:.1f} GB asked for"
    if free < needed:
        return Finding(topic="disk", state="problem", text=text, advice="make room, or make data/ a link to a larger disk")
    return Finding(topic="disk", state="ok", text=text)


def check_gpu() -> Finding:
    """A GPU that PyTorch can compute on."""
    import torch

    if torch.cuda.is_available():
        try:
            torch.ones(8, device="cuda").sum().item()
        except RuntimeError as error:
            advice = "install a PyTorch build for this GPU and driver"
            return Finding(topic="GPU", state="problem", text=f"does not compute: {str(error).splitlines()[0]}", advice=advice)
        names = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        text = ", ".join(f"{device.name} ({device.total_memory / 1e9:.0f} GB)" for device in names)
        return Finding(topic="GPU", state="ok", text=f"{text}; PyTorch {torch.__version__}")
    if shutil.which("nvidia-smi") and _output(["nvidia-smi", "-L"]):
        text = f"there is one, but PyTorch {torch.__version__} is not built for it"
        return Finding(
            topic="GPU", state="problem", text=text, advice="delete .venv and run `make setup` again, which takes the GPU build"
        )
    advice = "the demo needs none; training on whole data sets takes days without one"
    return Finding(topic="GPU", state="note", text=f"none; PyTorch {torch.__version__} computes on the CPU", advice=advice)


def check_git() -> Finding:
    """The git program, for DVC and for `git` mirrors."""
    version = _output(["git", "--version"])
    if not version:
        return Finding(topic="git", state="problem", text="is not installed", advice="install git: DVC needs it")
    return Finding(topic="git", state="ok", text=version.removeprefix("git version ").strip())


def check_hub() -> Finding:
    """The Hugging Face Hub answers, and takes the token if there is one."""
    import httpx2
    from huggingface_hub import constants, get_session, get_token

    if constants.HF_HUB_OFFLINE:
        advice = "unset HF_HUB_OFFLINE before a fetch; everything after it works offline"
        return Finding(topic="Hub", state="note", text="HF_HUB_OFFLINE is set", advice=advice)
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = get_session().get(f"{constants.ENDPOINT}/api/whoami-v2", headers=headers, timeout=TIMEOUT)
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        advice = "only `fetch` needs it: check network, proxy and HF_ENDPOINT, or name your own copies as `file` mirrors"
        return Finding(topic="Hub", state="note", text=f"{constants.ENDPOINT} cannot be reached ({error})", advice=advice)
    if answer.status_code >= 500:
        text = f"{constants.ENDPOINT} answers HTTP {answer.status_code}"
        return Finding(topic="Hub", state="note", text=text, advice="try a fetch later")
    if token and answer.status_code in (401, 403):
        text = f"{constants.ENDPOINT} refuses the token"
        return Finding(
            topic="Hub", state="problem", text=text, advice="set HF_TOKEN to a valid one, or remove it: public data needs none"
        )
    who = f", token of {answer.json().get('name', 'unknown')}" if token and answer.is_success else ", no token"
    return Finding(topic="Hub", state="ok", text=f"{constants.ENDPOINT} answers{who}")


def check_stanza() -> Finding:
    """The full English Stanza models where Stanza looks by itself: the tagger `stanza` of vocabularies."""
    from stanza.resources.common import DEFAULT_MODEL_DIR

    return stanza_models(Path(DEFAULT_MODEL_DIR))


def stanza_models(folder: Path) -> Finding:
    """The parts of the English pipeline below `folder`."""
    missing = [part for part in STANZA_PARTS if not any((folder / "en" / part).glob("*.pt"))]
    if missing:
        command = "python -c \"import stanza; stanza.download('en')\""
        advice = f"only vocabularies with tagger: stanza need them: {command} (STANZA_RESOURCES_DIR moves them)"
        text = f"English models are not in {folder} (missing: {', '.join(missing)})"
        return Finding(topic="Stanza", state="note", text=text, advice=advice)
    return Finding(topic="Stanza", state="ok", text=f"English models in {folder}")


def check_params(root: Path) -> Finding:
    """params.yaml can be read, all of it."""
    from stages.params import ParamsError, load_params

    try:
        params = load_params(root / "params.yaml")
    except ParamsError as error:
        first, *more = str(error).splitlines()
        text = f"{first}{f' and {len(more)} more' if more else ''}"
        return Finding(topic="params", state="problem", text=text, advice="correct params.yaml: no stage runs before")
    return Finding(topic="params", state="ok", text=f"{len(params.runs)} runs, {len(params.audits)} audits")


def check_graph_models(root: Path) -> Finding:
    """The Stanza packages that the entries `graphs` of params.yaml name."""
    from stages.confounders.stanza_models import ModelsError, model_files
    from stages.params import ParamsError, load_params

    try:
        entries = load_params(root / "params.yaml", methods=False).graphs
    except ParamsError:
        return Finding(topic="parsers", state="note", text="not looked at: params.yaml cannot be read")
    ready, lacking = [], []
    for name, package in sorted({(entry.stanza.folder, entry.stanza.package) for entry in entries.values()}):
        try:
            model_files(root / name, package)
        except ModelsError as error:
            lacking.append(str(error))
        else:
            ready.append(f"{package} in {name}")
    there = ", ".join(ready) or "no package"
    if lacking:
        advice = "only graphs of real data sets need it; entries can name another package under graphs.<name>.stanza"
        return Finding(topic="parsers", state="note", text=f"{there}; {'; '.join(lacking)}", advice=advice)
    return Finding(topic="parsers", state="ok", text=there)


def check_dvc(root: Path) -> Finding:
    """DVC is set up here, and where results are shared."""
    import dvc  # noqa: F401  # only whether it is there: it is asked in a process of its own

    if not (root / ".dvc").is_dir():
        return Finding(
            topic="DVC", state="problem", text=f"{root.resolve()} is not a DVC repository", advice="`dvc init`, or clone anew"
        )
    listed = _output([sys.executable, "-m", "dvc", "--cd", str(root), "config", "--list"])
    if listed is None:
        return Finding(topic="DVC", state="problem", text="`dvc config --list` fails", advice="run it by hand to see why")
    settings = dict(line.split("=", 1) for line in listed.splitlines() if "=" in line)
    remotes = {key.split(".")[1]: url for key, url in settings.items() if key.startswith("remote.") and key.endswith(".url")}
    if not remotes:
        advice = "nothing to do on one machine; to share results: `dvc remote add -d NAME URL`, then `dvc push --run-cache`"
        return Finding(topic="DVC remote", state="note", text="none, results stay on this machine", advice=advice)
    for name, url in remotes.items():
        if "://" not in url and not (root / ".dvc" / url).is_dir():  # relative ones start at .dvc/, where the setting stands
            advice = "mount it, or `dvc remote modify` it, before dvc push and pull"
            return Finding(topic="DVC remote", state="note", text=f"{name} is {url}, which is not there", advice=advice)
    return Finding(topic="DVC remote", state="ok", text=", ".join(f"{name} {url}" for name, url in remotes.items()))


def checks(root: Path, needed_gb: float) -> Iterator[Finding]:
    """All findings, the quick ones first."""
    every: list[tuple[str, Callable[[], Finding]]] = [
        ("Python", check_python), ("packages", lambda: check_packages(root / "requirements.lock")), ("machine", check_machine),
        ("disk", lambda: check_disk(root / "data", needed_gb)), ("git", check_git), ("DVC", lambda: check_dvc(root)),
        ("GPU", check_gpu), ("Stanza", check_stanza), ("params", lambda: check_params(root)),
        ("parsers", lambda: check_graph_models(root)), ("Hub", check_hub),
    ]  # fmt: skip
    for topic, check in every:
        try:
            yield check()
        except ImportError as error:
            yield Finding(topic=topic, state="problem", text=f"cannot be looked at: {error}", advice=SETUP)


def line(finding: Finding) -> str:
    """A finding as it is printed."""
    advice = f"\n{'':24}-> {finding.advice}" if finding.advice else ""
    return f"{finding.state:8} {finding.topic:13}  {finding.text}{advice}"


def main(argv: list[str] | None = None) -> int:
    """Print a line per finding. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--need-gb", type=float, default=5.0, help="free disk space below data/ to ask for (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    problems = []
    for finding in checks(Path(), args.need_gb):
        print(line(finding), flush=True)
        problems += [finding] if finding.state == "problem" else []
    print(verdict(problems))
    return 1 if problems else 0


def verdict(problems: Sequence[Finding]) -> str:
    """The last line: ready, or what to do first."""
    if not problems:
        return "Ready."
    first = next(
        (
            f": first of all, packages are missing or differ in {sys.executable}: {SETUP}"
            for one in problems
            if one.advice == SETUP
        ),
        "",
    )
    return f"{len(problems)} problem(s){first or ': see the lines with ->'}"


def _output(command: list[str]) -> str | None:
    """What a program prints; None if it is not there, fails, or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=6 * TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
