"""Oracle cases against the score stage: python -m tests.oracles CASE_DIR [CASE_DIR ...]

A case is a folder with expected.json; that file alone says what is scored and what must come out. Folder names mean nothing,
and a folder without expected.json stands for all cases below it. Prints one JSON line per case:

    {"case", "benchmark", "profiles", "rounded_equal", "max_abs_error", "tolerance", "differences", "passed"}

Rounded values must be equal, unrounded ones within 1e-9 (or the tolerance of the case), everything else that the case states
about a profile equal; ids that strict mode must refuse have to be refused, and listed. Exit code 1 if any case fails.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages import score

TOLERANCE = 1e-9


def cases(paths: list[Path]) -> list[Path]:
    """The case folders among and below `paths`, sorted."""
    found: list[Path] = []
    for path in paths:
        below = [path] if (path / "expected.json").is_file() else sorted(file.parent for file in path.rglob("expected.json"))
        if not below:
            raise FileNotFoundError(f"{path}: neither a case (no expected.json) nor a folder of cases")
        found += below
    return found


def run_score(expected: dict[str, Any], folder: Path, ids: str) -> tuple[int, dict[str, Any] | None, str]:
    """The score stage on the files of a case: exit code, output (None without one), what it said on stderr."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "scores.json"
        arguments = ["--benchmark", expected["benchmark"], "--ids", ids, "--out", str(out)]
        for role, name in expected["files"].items():
            arguments += ["--" + role.replace("_", "-"), str(folder / name)]
        if "num_proposals" in expected:
            arguments += ["--num-proposals", str(expected["num_proposals"])]
        arguments += ["--profile", *expected["profiles"]]
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            code = score.main(arguments)
        return code, json.loads(out.read_text(encoding="utf-8")) if out.is_file() else None, said.getvalue()


def check(folder: Path) -> dict[str, Any]:
    """One case: its JSON line."""
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    tolerance = expected.get("tolerance", TOLERANCE)
    code, got, said = run_score(expected, folder, expected.get("id_mode", "strict"))
    differences: list[str] = [] if code == 0 else [f"exit code {code}: {said.strip()}"]
    errors = [0.0]
    rounded_equal = code == 0
    scored: dict[str, Any] = got["profiles"] if got is not None else {}
    for profile, values in expected["profiles"].items() if scored else ():
        mine = scored.get(profile, {})
        for part, wanted in values.items():
            unrounded = part == "unrounded" or (isinstance(wanted, dict) and set(wanted) == {"unrounded"})
            for place, theirs, ours in leaves(wanted, mine.get(part), f"{profile}.{part}"):
                if unrounded and is_number(theirs) and is_number(ours):
                    errors.append(abs(theirs - ours))
                    equal = errors[-1] <= tolerance
                else:
                    equal = theirs == ours
                if not equal:
                    rounded_equal &= part != "rounded"
                    differences.append(f"{place}: expected {theirs}, got {ours}")
    differences += refusals(expected, folder)
    return {
        "case": str(folder),
        "benchmark": expected["benchmark"],
        "profiles": list(expected["profiles"]),
        "rounded_equal": rounded_equal,
        "max_abs_error": max(errors),
        "tolerance": tolerance,
        "differences": differences[:20],
        "passed": not differences,
    }


def refusals(expected: dict[str, Any], folder: Path) -> list[str]:
    """What is wrong with the answer of strict mode, for a case that it must refuse."""
    if expected.get("strict_mode_outcome") != "error":
        return []
    code, got, said = run_score(expected, folder, "strict")
    wrong = [] if code == 3 and got is None else [f"strict mode: expected exit code 3 and no output, got {code}"]
    return wrong + [
        f"strict mode: {kind} id {one} is not listed"
        for kind in ("missing", "unknown")
        for one in expected.get(f"{kind}_ids", ())
        if json.dumps(one) not in said
    ]


def leaves(expected: Any, got: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """(place, expected, got) of every value of two nested mappings; a key on one side only is a pair with None."""
    if not isinstance(expected, dict):
        yield place, expected, got
        return
    found = got if isinstance(got, dict) else {}
    for key, value in expected.items():
        yield from leaves(value, found.get(key), f"{place}.{key}")
    for key in found.keys() - expected.keys():
        yield f"{place}.{key}", None, found[key]


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="tests.oracles", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", type=Path, nargs="+", metavar="CASE_DIR")
    passed = True
    for folder in cases(parser.parse_args(argv).cases):
        line = check(folder)
        passed &= line["passed"]
        print(json.dumps(line), flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
