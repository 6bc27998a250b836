"""Flow `demo`: a results page with all that it needs, from the planted world to the last method; small and offline.

prefect deployment run 'demo/cpu'
"""

from __future__ import annotations

from prefect import flow

from pipelines.dvc import Workspace, bring_up_to_date, kind_of
from pipelines.results import publish


@flow(name="demo", log_prints=True)
def demo(report: str) -> None:
    """Bring a results page up to date.

    Args:
        report: Entry of `reports` of params.yaml; the deployment names the embedded one.
    """
    with Workspace.open() as workspace:
        target = f"report@{report}"
        bring_up_to_date([target], workspace)
        publish(workspace.graph, [stage for stage in workspace.graph.upstream([target]) if kind_of(stage) == "evaluate"])
