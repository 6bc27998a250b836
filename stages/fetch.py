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
from pathlib import Path

from stages.params import ParamsError, load_params, lookup
from stages.sources.errors import FetchError, FetchStopped
from stages.sources.fetching import Manner, fetch

SHOWN = 5  # strange files named
TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h


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
        dataset = lookup(load_params(args.params, methods=False).datasets, args.name, "datasets")
    except ParamsError as error:
        print(f"ParamsError: {error}", file=sys.stderr)
        return 2
    manner = Manner(threads=args.threads, accept_changes=args.accept_changes)
    try:
        done = fetch(args.name, dataset.sources, args.out, built=Path(dataset.after), manner=manner)
    except FetchError as error:
        print(f"FetchError: {error}", file=sys.stderr)
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
