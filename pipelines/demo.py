"""Flow `demo`: a results page with all that it needs, from the planted world to the last method; small and offline.

prefect deployment run 'demo/cpu'
"""

from __future__ import annotations

from prefect import flow

from pipelines.code import at_commit
from pipelines.dvc import Workspace, bring_up_to_date, kind_of
from pipelines.results import publish


@flow(name="demo", log_prints=True)
def demo(report: str, commit: str | None = None, share: bool = False) -> None:
    """Bring a results page up to date.

    Args:
        report: Entry of `reports` of params.yaml; the deployment names the embedded one.
        commit: Git commit at which to work; it is checked out in the workspace first. None: the code as it is there.
        share: Take finished stages from the default DVC remote and give it those that ran here, for several machines.
    """
    at_commit(commit)
    with Workspace.open(share=share) as workspace:
        target = f"report@{report}"
        bring_up_to_date([target], workspace)
        publish(workspace.graph, [stage for stage in workspace.graph.upstream([target]) if kind_of(stage) == "evaluate"])
