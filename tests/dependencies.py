"""What the locked dependencies are under, and what is known against them.

    python -m tests.dependencies licences     one line each: name, version, licence as the package itself states it
    python -m tests.dependencies audit [URL]  pip-audit (in an environment of its own, made for the occasion) on requirements.lock
                                              URL: query address of an OSV server to ask instead of the package registry

exit code of audit    0: nothing known, or the database of advisories is out of reach (said)    1: something is known
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
CLASSIFIER = "License :: "
UNREACHABLE = re.compile(r"ConnectionError|ServiceError|Failed to connect|Max retries|Name or service|timed out|resolve", re.I)


def locked() -> dict[str, str]:
    """Name -> version of every dependency."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def licence(name: str) -> str:
    """As the installed package states it: its SPDX expression, its classifiers, or its licence field. "" if it states none."""
    about = importlib.metadata.metadata(name)
    if expression := about.get("License-Expression"):
        return expression
    stated = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier") or () if line.startswith(CLASSIFIER)]
    return "; ".join(stated) or (about.get("License") or "").split("\n", 1)[0][:60]


def audit(osv: str | None = None) -> int:
    """Run pip-audit in a throw-away environment; its findings, or the reason why there are none."""
    database = ["--vulnerability-service", "osv", "--osv-url", osv] if osv else []
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        made = _run(str(python), "-m", "pip", "install", "--quiet", "pip-audit")
        if made.returncode:
            print(f"skipped: pip-audit cannot be installed: {made.stderr.strip()[-300:]}")
            return 0
        asked = ["--no-deps", "--disable-pip", "--requirement", str(LOCK), "--timeout", "20", *database]
        found = _run(str(python), "-m", "pip_audit", *asked)
    code, told = judged(found.returncode, found.stdout + found.stderr)
    print(told)
    return code


def judged(code: int, said: str) -> tuple[int, str]:
    """What pip-audit's end means: (exit code of this command, what to print). No database: neither an all-clear nor an alarm."""
    if code and "Found " not in said and UNREACHABLE.search(said):
        return 0, f"skipped: the database of advisories is out of reach: {said.strip().splitlines()[-1][:300]}"
    known = len(locked()) - said.count("could not be audited")
    if not code and known < len(locked()) / 2:  # a mirror of the registry that has no advisories
        return 0, f"skipped: the database of advisories is out of reach: it knows {known} of {len(locked())} packages"
    return code, said


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def main() -> int:
    """Command line."""
    match sys.argv[1:]:
        case ["audit", *url] if len(url) <= 1:
            return audit(*url)
        case ["licences"]:
            for name, version in locked().items():
                print(f"{name:<32} {version:<20} {licence(name)}")
            return 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main())
