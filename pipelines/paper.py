"""Flow `paper`: every run of one paper's method, then its tables.

prefect deployment run 'paper/gpu' -p method=causalvtg
"""

from __future__ import annotations

import difflib
from pathlib import PurePosixPath

from prefect import flow

from pipelines.code import at_commit
from pipelines.dvc import Graph, Workspace, bring_up_to_date
from pipelines.results import publish


@flow(name="paper", log_prints=True)
def paper(method: str, report: str | None = None, commit: str | None = None, share: bool = False) -> None:
    """Train and evaluate all runs of a method. Which runs these are, dvc.yaml knows: their training reads the method's file.

    Args:
        method: File name in models/methods without its ending, e.g. "causalvtg".
        report: Entry of `reports` to bring up to date afterwards. None: pages stay.
        commit: Git commit at which to work; it is checked out in the workspace first. None: the code as it is there.
        share: Take finished stages from the default DVC remote and give it those that ran here, for several machines.
    """
    at_commit(commit)
    with Workspace.open(share=share) as workspace:
        trainings = workspace.graph.reading(f"models/methods/{method}.py", kind="train")
        if not trainings:
            raise LookupError(f"no run of params.yaml trains models/methods/{method}.py{others(method, workspace.graph)}")
        evaluations = workspace.graph.downstream(trainings, kind="evaluate")
        bring_up_to_date([*evaluations, *([f"report@{report}"] if report else [])], workspace)
        publish(workspace.graph, evaluations)


def others(method: str, graph: Graph) -> str:
    """The end of a message: the method that was meant, if any is near, and all that have runs."""
    trained = {path for stage in graph.stages if stage.name.startswith("train@") for path in map(PurePosixPath, stage.deps)}
    names = sorted(path.stem for path in trained if str(path.parent) == "models/methods")
    near = "".join(f"; did you mean {name!r}?" for name in difflib.get_close_matches(method, names, n=1))
    return f"{near or ';'} methods with runs: {', '.join(names) or 'none'}"
