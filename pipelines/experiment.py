"""Flow `experiment`: runs -> data, training, evaluation; their metrics as a table, and the results page.

prefect deployment run 'experiment/gpu' -p runs='["cra-nextgqa"]'
"""

from __future__ import annotations

from prefect import flow

from pipelines.code import at_commit
from pipelines.dvc import Workspace, bring_up_to_date
from pipelines.results import publish


@flow(name="experiment", log_prints=True)
def experiment(runs: list[str], report: str | None = None, commit: str | None = None, share: bool = False) -> None:
    """Train and evaluate these runs of params.yaml, with everything they need.

    Args:
        runs: Entries of `runs`, e.g. ["causalvtg-planted"].
        report: Entry of `reports` to bring up to date afterwards; it needs every run that belongs to it. None: pages stay.
        commit: Git commit at which to work; it is checked out in the workspace first. None: the code as it is there.
        share: Take finished stages from the default DVC remote and give it those that ran here, for several machines.

    Raises ValueError without runs.
    """
    if not runs:
        raise ValueError(
            """runs: empty, so there is nothing to do; name entries of `runs`, as in -p runs='["causalvtg-planted"]'"""
        )
    evaluations = [f"evaluate@{run}" for run in runs]
    at_commit(commit)
    with Workspace.open(share=share) as workspace:
        bring_up_to_date([*evaluations, *([f"report@{report}"] if report else [])], workspace)
        publish(workspace.graph, evaluations)
