"""Stage `world`: a planted world, or a rehearsal of a real data set, in the published file formats.

reads   the user's own annotation files (rehearsals only, read-only)
writes  <out>/upstream/     what the data set's hosts publish: feature files and annotation files
        <out>/truth/        planted worlds: scenes, events, spans, unanswerable pairs, shortcuts (parquet); what the truth of a
                            question is stands beside the question, in upstream/<data set>/truth/
        <out>/world.json    settings, counts and digests

The same settings and seed give the same bytes. The folder appears when it is complete: it is written beside, read back, renamed.

example   python -m stages.world --name demo --out data/worlds/demo
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import itertools
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stages.params import DEFAULT_FILE, ParamsError, World, load_params, lookup
from stages.worlds.planted import PlantedWorld
from stages.worlds.question_rehearsal import RehearsedQuestions
from stages.worlds.questions import QuestionWorld
from stages.worlds.rehearsal import RehearsedWorld
from stages.worlds.relation_files import RelationWorld
from stages.worlds.settings import WorldError
from stages.worlds.upstream import Written

SCHEMA_VERSION = 1
LISTED = 64  # folders with more files than this are summed up in world.json


def build(name: str, world: World, out: Path, annotations: Path | None = None) -> dict[str, Any]:
    """Make one world in the folder `out`, replacing what is there; return world.json's contents.

    `annotations` replaces the folder of annotation files of a rehearsal.

    Raises WorldError if the settings or the annotations do not allow the world.
    """
    kind: PlantedWorld | QuestionWorld | RehearsedWorld | RelationWorld | RehearsedQuestions
    if world.planted is not None and world.questions is not None:
        kind = QuestionWorld(world.planted, world.questions, world.seed)
    elif world.planted is not None:
        kind = PlantedWorld(world.planted, world.seed)
    elif world.relations is not None:
        kind = RelationWorld(world.relations, world.seed)
    elif world.question_rehearsal is not None:
        asked = world.question_rehearsal
        kind = RehearsedQuestions(asked, world.seed, annotations or Path(asked.annotations))
    else:
        assert world.rehearsal is not None  # one of the four, says World
        kind = RehearsedWorld(world.rehearsal, world.seed, annotations or Path(world.rehearsal.annotations))
    beside = out.with_name(f".{out.name}.unfinished")
    if beside.exists():
        shutil.rmtree(beside)
    beside.mkdir(parents=True)
    with tqdm(total=kind.items, desc=f"world {name}", unit="item", file=sys.stderr, mininterval=0.5) as bar:
        features, facts = kind.write(beside, bar.update)
    for split, missing in facts.get("pairs_without_a_video", {}).items():
        if any(missing.values()):
            lacking = " and ".join(f"{count} {kind}" for kind, count in missing.items() if count)
            print(f"world {name}: rf_{split} lacks {lacking} pairs: no video of so small a split qualifies", file=sys.stderr)
    on_disk = digests(beside)
    for written in features.values():
        verify(written, on_disk)
    description = {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "kind": "rehearsal" if world.rehearsal or world.question_rehearsal else "planted",
        "seed": world.seed,
        "settings": dataclasses.asdict(kind.settings),
        "features": {
            feature: {"path": written.path, "files": written.files, "bytes": written.bytes}
            for feature, written in features.items()
        },
        **facts,
        "contents": contents(beside, on_disk),
    }
    text = json.dumps(description, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    (beside / "world.json").write_text(text, encoding="utf-8", newline="\n")
    if out.exists():
        shutil.rmtree(out)
    beside.rename(out)
    return description


def digests(root: Path) -> dict[Path, str]:
    """Sha256 of every file below `root`, read from disk, by path in sorted order."""
    found = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            found[path] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def verify(written: Written, on_disk: Mapping[Path, str]) -> None:
    """Compare the files of one feature kind with what was written: a full disk or a lost file must not pass for a world.

    Raises WorldError naming the first file that differs.
    """
    for path, digest in written.sha256.items():
        if on_disk.get(path) != digest:
            raise WorldError(f"{path}: the disk does not hold what was written; check it and run the stage again")


def contents(root: Path, on_disk: Mapping[Path, str]) -> list[dict[str, Any]]:
    """Path, bytes and sha256 of every file below `root`, in sorted order.

    A folder of many files is one entry with a final slash; its sha256 is that of one line "<sha256>  <name>" per file.
    """
    entries: list[dict[str, Any]] = []
    for folder, group in itertools.groupby(sorted(on_disk, key=lambda path: (path.parent, path.name)), lambda path: path.parent):
        files = list(group)
        if len(files) <= LISTED:
            entries += [
                {"path": path.relative_to(root).as_posix(), "bytes": path.stat().st_size, "sha256": on_disk[path]}
                for path in files
            ]
            continue
        listing = "".join(f"{on_disk[path]}  {path.name}\n" for path in files)
        entries.append(
            {
                "path": folder.relative_to(root).as_posix() + "/",
                "files": len(files),
                "bytes": sum(path.stat().st_size for path in files),
                "sha256": hashlib.sha256(listing.encode("utf-8")).hexdigest(),
            }
        )
    return entries


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="entry of params.yaml: worlds")
    parser.add_argument("--out", type=Path, required=True, help="folder to make; replaced if it exists")
    parser.add_argument("--params", type=Path, default=DEFAULT_FILE, help="default: %(default)s")
    parser.add_argument(
        "--annotations", type=Path, help="rehearsals: folder of the annotation files, instead of the one in params"
    )
    args = parser.parse_args(argv)
    try:
        world = lookup(load_params(args.params, methods=False).worlds, args.name, "worlds")
        build(args.name, world, args.out, args.annotations)
    except (ParamsError, WorldError, OSError) as error:
        parser.exit(2, f"{type(error).__name__}: {error}\n")


if __name__ == "__main__":
    main()
