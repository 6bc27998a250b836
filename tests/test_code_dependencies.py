"""Whatever code decides the result of a stage is among its dependencies: an edit of it makes the result stale.

The modules that a stage's command imports, however deep, and those that its folders import, are held against `deps` in dvc.yaml.
What is no dependency is named here, with the reason.
"""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest
import yaml

from stages.auditing.code import digests

ROOT = Path(__file__).resolve().parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]

READS_PARAMS = "reads params.yaml, whose numbers are among the stage's params"
DECIDES_NO_RESULT = {
    "stages/params.py": READS_PARAMS,
    "stages/parameters/*": READS_PARAMS,
    "stages/*/settings.py": READS_PARAMS,
    "stages/worlds/*_settings.py": READS_PARAMS,
    "stages/sources/names.py": READS_PARAMS,
    "models/method.py": "what a method is; a stage that runs none reads its settings only",
    "stages/datasets/relation_schema.py": "a kind of sample that settings name",
    "stages/datasets/rules.py": "reads annotations, which consolidate does; others import its words for a report",
    "stages/datasets/texts.py": "reads annotations, which consolidate does",
    "stages/features/info.py": "describes stores; a new form of them has another SCHEMA_VERSION, which is refused",
    "stages/features/writer.py": "writes stores; its users here read them",
    "stages/features/pickled.py": "reads word vectors, which the vocabulary stage does; settings name its forms",
    "stages/features/tokens.py": "reads sentences, which the vocabulary stage does; settings name its taggers",
    "stages/features/word_vectors.py": "reads word vectors, which the vocabulary stage does; settings name its forms",
    "stages/sources/manifest.py": "reads the list of fetched files, whose bytes are a dependency",
    "stages/sources/errors.py": "messages",
    "stages/auditing/cells.py": "work of an audit, which depends on it",
    "stages/auditing/outcomes.py": "numbers of single queries for an audit, which depends on it",
    "stages/confounders/parses.py": "parses a user's own query, which predict does; others depend on it where they parse",
    "stages/confounders/stanza_models.py": "the same",
    "stages/confounders/question_graphs.py": "the same: the type of a word",
    "stages/confounders/blocks.py": "the same: work in blocks",
    "stages/confounders/kmeans.py": "names of errors; dictionary and semantic_graph depend on it",
    "stages/features/torch_files.py": "reads a user's own video, which predict does; consolidate depends on it",
    "stages/metrics/records.py": "reads files of predictions, which the score command is given",
}
ONLY_FOR = {
    "fetch": {"stages/*": "published files are held against their digests: no code may change them"},
    "vocabulary": {"models/*": "names of a graph's nodes, for the graphs of questions"},
    "train": {
        "stages/features/guesses.py": "numbers of an evaluation",
        "stages/metrics/complexity.py": "numbers of an evaluation",
        "stages/metrics/contract.py": "how files of predictions are scored",
        "stages/metrics/rationale.py": "numbers of an evaluation",
    },
    "semantic_graph": {"models/layers/graph.py": "the layer of a model, beside the names of nodes"},
}


def dependencies(stage):
    """Patterns of the code that a stage depends on; an entry's own name stands for any."""
    deps = (re.sub(r"\$\{[^}]*\}", "*", path) for path in STAGES[stage]["do"]["deps"])
    return [path if path.endswith(".py") else f"{path}/*" for path in deps if path.startswith(("models", "stages"))]


def modules(patterns):
    """Names of the modules that the patterns match."""
    files = (path.relative_to(ROOT) for top in ("models", "stages") for path in (ROOT / top).rglob("*.py"))
    return [".".join(file.with_suffix("").parts) for file in files if matched(str(file), patterns)]


def matched(file, patterns):
    return any(fnmatch.fnmatch(file, pattern) for pattern in patterns)


def used(stage):
    """Files whose code a stage runs."""
    commands = re.findall(r"-m (\S+)", STAGES[stage]["do"]["cmd"])
    return [f"{name.replace('.', '/')}.py" for name in digests([*commands, *modules(dependencies(stage))], ROOT)]


@pytest.mark.parametrize("stage", STAGES)
def test_code_that_decides_a_result_is_a_dependency(stage):
    excused = [*DECIDES_NO_RESULT, *ONLY_FOR.get(stage, ())]
    missing = [file for file in used(stage) if not matched(file, [*dependencies(stage), *excused])]
    assert not missing, f"dvc.yaml: {stage}: add to deps, or say here why not: {', '.join(missing)}"


def test_every_excuse_is_needed():
    files = {stage: [file for file in used(stage) if not matched(file, dependencies(stage))] for stage in STAGES}
    for pattern in DECIDES_NO_RESULT:
        assert any(matched(file, [pattern]) for found in files.values() for file in found), pattern
    for stage, patterns in ONLY_FOR.items():
        for pattern in patterns:
            assert any(matched(file, [pattern]) for file in files[stage]), (stage, pattern)


def test_only_what_goes_on_from_earlier_work_is_kept_out_of_the_run_cache():
    """DVC keeps no run of a stage one of whose outputs persists; trainings must come back from it."""
    outs = {stage: [out for out in STAGES[stage]["do"]["outs"] if isinstance(out, dict)] for stage in STAGES}
    persisting = {stage for stage, found in outs.items() for out in found for how in out.values() if how.get("persist")}
    assert persisting == {"fetch", "consolidate"}
