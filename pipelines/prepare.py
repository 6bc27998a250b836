"""Flow `prepare`: datasets -> samples and feature stores, and the dictionaries and vocabularies built from them.

prefect deployment run 'prepare/cpu' -p datasets='["charades_sta_clip"]'
"""

from __future__ import annotations

from prefect import flow

from pipelines.code import at_commit
from pipelines.dvc import Workspace, bring_up_to_date

DERIVED = ("dictionary", "vocabulary", "semantic_graph")


@flow(name="prepare", log_prints=True)
def prepare(datasets: list[str], commit: str | None = None, share: bool = False) -> None:
    """Fetch and consolidate these data sets of params.yaml and build what is derived from them before any training.

    Args:
        datasets: Entries of `datasets`, e.g. ["planted"].
        commit: Git commit at which to work; it is checked out in the workspace first. None: the code as it is there.
        share: Take finished stages from the default DVC remote and give it those that ran here, for several machines.

    Raises ValueError without data sets.
    """
    if not datasets:
        raise ValueError(
            """datasets: empty, so there is nothing to do; name entries of `datasets`, as in -p datasets='["planted"]'"""
        )
    stores = [f"consolidate@{dataset}" for dataset in datasets]
    at_commit(commit)
    with Workspace.open(share=share) as workspace:
        derived = [stage for kind in DERIVED for stage in workspace.graph.downstream(stores, kind=kind)]
        bring_up_to_date([*stores, *derived], workspace)
