"""Stage `fetch`: the published files of a data set, from the first of its mirrors that delivers, checked against their digests.

reads   params.yaml: datasets.<name>.sources     which files, from where (Hugging Face Hub, url, git, your own copy)
        data/raw/<name>/manifest.json            of the last fetch, if there was one: what it says must still be so
writes  data/raw/<name>/...                      the files
        data/raw/<name>/manifest.json            per file: bytes, sha256, mirror and commit it was taken from

Files that are complete are not fetched again; an interrupted fetch goes on where it was. The manifest is there only when all
files are. HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE act as for the Hugging Face client.

e.g.    python -m stages.fetch --name planted --out data/raw/planted

exit code   0: all files are there.  1: they are not; the message says why and what to do.  2: wrong arguments or parameters.
            75: a server was out of reach or too busy; the same command may do later.  130: stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from stages.datasets.samples import load_adapter
from stages.features.settings import Feature
from stages.params import Dataset, ParamsError, load_params, lookup
from stages.sources.errors import FetchError, FetchStopped
from stages.sources.fetching import Manner, fetch
from stages.sources.settings import SourceEntry

SHOWN = 5  # strange files named
TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h


def belonging(source: SourceEntry, dataset: Dataset, features: Mapping[str, Feature]) -> str:
    """What a source is to hold, for somebody who copies it by hand; empty if no entry says."""
    said = [f"{source.bytes:,} bytes"] if source.bytes is not None else []
    said += [f"sha256 {source.sha256}"] if source.sha256 is not None else []
    said += _annotations(source, dataset.adapter)
    for name, feature in features.items():
        if _within(feature.files, source.into):
            key = f", key {feature.key!r}" if feature.key else ""
            said.append(f"{feature.kind} features {name!r} ({feature.extractor}): {feature.format}{key}, width {feature.width}")
    return "; ".join(said)


def _annotations(source: SourceEntry, adapter: str) -> Iterator[str]:
    """The annotation files of the adapter that the source holds."""
    try:
        listed = load_adapter(adapter).SOURCE.files.values()
    except LookupError:  # consolidate says so
        return
    if files := list(dict.fromkeys(file for file in listed if _within(file, source.into))):
        yield f"{', '.join(files)} (stages/datasets/{adapter}.py says in which layout)"


def _within(path: str, into: str) -> bool:
    return PurePosixPath(path).is_relative_to(into)


def advice(missing: tuple[SourceEntry, ...], dataset: Dataset, features: Mapping[str, Feature]) -> str:
    """What belongs at the own copies of the sources that are missing, a line each."""
    lines = []
    for source in missing:
        belongs = belonging(source, dataset, features)
        lines += [f"\n  {mirror.file.path}: {belongs}" for mirror in source.mirrors if mirror.file and belongs]
    return f"\nWhat belongs into your own copies:{''.join(lines)}" if lines else ""


def main(argv: list[str] | None = None) -> int:
    """Read the parameters, fetch, say what was done. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="entry of params.yaml: datasets")
    parser.add_argument("--out", type=Path, required=True, help="folder to fill")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--threads", type=int, default=8, help="files at a time (default: %(default)s)")
    parser.add_argument(
        "--accept-changes",
        action="store_true",
        help="take what the mirrors hold now, though the manifest of the last fetch differs",
    )
    args = parser.parse_args(argv)
    if args.threads < 1:
        parser.error(f"--threads: at least 1, got {args.threads}")
    try:
        params = load_params(args.params, methods=False)
        dataset = lookup(params.datasets, args.name, "datasets")
    except ParamsError as error:
        print(f"ParamsError: {error}", file=sys.stderr)
        return 2
    manner = Manner(threads=args.threads, accept_changes=args.accept_changes)
    try:
        done = fetch(args.name, dataset.sources, args.out, built=Path(dataset.after), manner=manner)
    except FetchError as error:
        print(f"FetchError: {error}{advice(error.missing, dataset, params.features[args.name])}", file=sys.stderr)
        return TRY_AGAIN if error.passing else 1
    except FetchStopped:
        print(f"{args.out}: stopped; complete files are kept, and the same command goes on from there", file=sys.stderr)
        return 130
    if done.strange:
        named = ", ".join(done.strange[:SHOWN]) + (f" and {len(done.strange) - SHOWN} more" if len(done.strange) > SHOWN else "")
        print(f"{args.out}: left alone, since no source lists it: {named}", file=sys.stderr)
    kept = done.files - done.fetched
    print(f"{args.name}: {done.files:,} files, {done.bytes:,} bytes: {done.fetched:,} fetched, {kept:,} were there", end="")
    print(f", {done.removed:,} no longer listed removed" if done.removed else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
