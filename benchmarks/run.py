"""Run every benchmark of this folder, one after the other; each writes its ratios to benchmarks/results/<name>.json.

    python -m benchmarks.run [NAME ...]

A benchmark checks first that its candidates agree, then times them interleaved, so that the figures of one run compare. In the
end benchmarks/README.md is written anew (benchmarks/table.py). `memory` and `numerics` need what `make demo` has built; `gpu` is
for machines that have one and is run by name.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks import table

HERE = Path(__file__).resolve().parent
NO_BENCHMARKS = ("gpu_batches", "gpu_epoch", "gpu_precision", "gpu_steps", "goals", "products", "rounds", "run", "table")
BY_NAME = ("gpu",)


def names() -> list[str]:
    """The benchmarks there are, by file name."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NO_BENCHMARKS)


def main() -> int:
    """Command line; the exit code counts the benchmarks that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"among {', '.join(names())}; all when none is given")
    chosen = parser.parse_args().names or [name for name in names() if name not in BY_NAME]
    if unknown := sorted(set(chosen) - set(names())):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(names())}")
    failed = 0
    for name in chosen:
        print(f"== {name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent, check=False).returncode != 0
    table.main()
    return failed


if __name__ == "__main__":
    sys.exit(main())
