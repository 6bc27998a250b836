"""The demo from nothing to its page, in a workspace of its own, as `make demo` runs it.

    python -m benchmarks.demo [--jobs 2]

Limit beside the time: the processor time of everything that ran, shared evenly by the machine's cores.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.rounds import ROOT, save
from tests import workspace


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="stages at a time (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = workspace.prepare(Path(work), yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))
        (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
        (folder / "pipelines").symlink_to(ROOT / "pipelines")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.monotonic()
        command = [sys.executable, "-m", "pipelines.side_by_side", "report@demo", "--jobs", str(args.jobs)]
        subprocess.run(command, cwd=folder, env=workspace.environment(), check=True)
        seconds = time.monotonic() - begin
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert (folder / "data/reports/demo/index.html").is_file()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    share = round(cpu / (os.cpu_count() or 1), 1)
    save("demo", {"jobs": args.jobs, "seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "limit: cpu over cores": share})


if __name__ == "__main__":
    main()
