"""Stage `score`: the published scorers' values for any prediction file, ours or somebody else's. Run by hand, without DVC.

reads   the files of the benchmark: JSON lines, JSON or CSV, plain or gzip      (--predictions, --ground-truth, ...)
writes  --out, one JSON object:
          benchmark    its name
          profiles     per profile {"rounded", "unrounded", ...}: a profile is one published scorer, quirks included
          corrected    with --corrected: the same without the quirks (null where there is nothing to average)
          n_scored     records that entered the scores          n_skipped    records that did not
          warnings     whatever is odd in the files, with file, line, id and field

exit    0 scored    2 invalid input: the message names file, line, id and field    3 ids differ in strict mode; all are listed

for example
  python -m stages.score --benchmark charades_sta --predictions hl_test_submission.jsonl --ground-truth test.jsonl --out F.json
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stages.metrics.contract import Benchmark, Request, Scored, benchmark_names, load_benchmark
from stages.metrics.records import IdsDifferError, InputError

ROLES = {
    "predictions": "predictions, one record per query",
    "ground_truth": "labels, or evidence spans of grounded question answering",
    "questions": "questions (CSV)",
    "qa": "answers to questions",
    "frame2time": "seconds of the sampled frames of each video",
    "frame_weights": "weights of the sampled frames of each question",
    "segments_seconds": "predicted segments in seconds",
    "segments_normalised": "predicted segments as fractions of the duration",
    "subset": "ids that are to be scored",
    "answer_vocabulary": "list of possible answers",
    "train_triplets": "relation triplets that occur in training",
}


def build(benchmark: str, request: Request) -> dict[str, Any]:
    """The output object of one scoring.

    Raises InputError (IdsDifferError) as the benchmark does, LookupError for an unknown benchmark or profile, or for an option
    that the benchmark would ignore.
    """
    chosen = load_benchmark(benchmark)
    if unknown := [name for name in request.profiles or () if name not in chosen.profiles]:
        raise LookupError(f"{benchmark} has no profile {', '.join(unknown)}; it has {', '.join(chosen.profiles)}")
    _check_options(benchmark, request)
    scored: Scored = chosen.score(request)
    out = {"benchmark": benchmark, **asdict(scored)}
    if scored.corrected is None:
        del out["corrected"]
    return out


def _check_options(benchmark: str, request: Request) -> None:
    """LookupError for an option that the benchmark would ignore."""
    given = {
        "ids": ("--ids intersection", not request.strict),
        "num_proposals": ("--num-proposals", request.num_proposals is not None),
    }
    for name, (option, is_given) in given.items():
        if is_given and name not in load_benchmark(benchmark).options:
            users = [other for other in benchmark_names() if name in load_benchmark(other).options]
            does = "does" if len(users) == 1 else "do"
            raise LookupError(f"{benchmark} does not use {option}; {', '.join(users)} {does}: leave it out")


def _roles(benchmark: Benchmark, given: dict[str, Path | None]) -> dict[str, Path]:
    """The files of a benchmark; LookupError if one is missing or has no use."""
    option = {role: "--" + role.replace("_", "-") for role in ROLES}
    if missing := [option[role] for role in benchmark.files if given[role] is None]:
        needed = ", ".join(option[role] for role in benchmark.files)
        raise LookupError(f"{', '.join(missing)} missing; this benchmark needs {needed}")
    files = {role: path for role, path in given.items() if path is not None}
    if foreign := [option[role] for role in files if role not in (*benchmark.files, *benchmark.optional)]:
        known = ", ".join(option[role] for role in (*benchmark.files, *benchmark.optional))
        raise LookupError(f"{', '.join(foreign)} has no meaning for this benchmark; it takes {known}")
    return files


def write(path: Path, value: dict[str, Any]) -> None:
    """Write beside and rename, so that a half-written file never passes for a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    # half of a surrogate pair, which a text of the files may hold, has no UTF-8: a backslash and its digits are its JSON
    beside.write_bytes(text.encode("utf-8", "backslashreplace"))
    beside.replace(path)


def main(argv: list[str] | None = None) -> int:
    """Command line; the exit code is returned."""
    parser = argparse.ArgumentParser(
        prog="stages.score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--benchmark", required=True, metavar="NAME", help=", ".join(benchmark_names()))
    for role, meaning in ROLES.items():
        parser.add_argument("--" + role.replace("_", "-"), type=Path, metavar="FILE", help=meaning)
    parser.add_argument(
        "--num-proposals", type=int, metavar="K", help="proposals per query, to be checked against the file (ccr_localisation)"
    )
    parser.add_argument(
        "--profile",
        action="append",
        nargs="+",
        metavar="P",
        help="only these profiles; each must apply (default: all that apply)",
    )
    parser.add_argument(
        "--ids",
        choices=("strict", "intersection"),
        default="strict",
        help="equal ids on both sides, or what they share (not vidvrd, vidor: a video without predictions counts as empty)",
    )
    parser.add_argument("--corrected", action="store_true", help="add the values without the quirks of the references")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the JSON goes")
    args = parser.parse_args(argv)
    try:
        request = Request(
            files=_roles(load_benchmark(args.benchmark), {role: getattr(args, role) for role in ROLES}),
            profiles=tuple(dict.fromkeys(name for group in args.profile for name in group)) if args.profile else None,
            strict=args.ids == "strict",
            corrected=args.corrected,
            num_proposals=args.num_proposals,
        )
        write(args.out, build(args.benchmark, request))
    except IdsDifferError as error:
        print(f"stages.score: {error}", file=sys.stderr)
        return 3
    except (InputError, LookupError, OSError) as error:
        print(f"stages.score: {error.args[0] if isinstance(error, LookupError) else error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
