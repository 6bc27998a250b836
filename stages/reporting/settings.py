"""Settings of one report: an entry of params.yaml: reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a results page is called and how much it shows; which runs are on it is said by the runs (`runs.<run>.report`).

    title        heading of the page
    about        one paragraph under the heading; plain text
    timelines    example queries drawn per run and split, at most
    """

    title: str
    timelines: int
    about: str = ""

    def __post_init__(self) -> None:
        if self.timelines < 0:
            raise ValueError(f"timelines: expected 0 or more, got {self.timelines}")
