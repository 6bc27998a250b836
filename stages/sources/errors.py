"""What can go wrong while fetching, apart from our own bugs."""

from __future__ import annotations

from stages.sources.settings import SourceEntry


class FetchError(Exception):
    """The data set could not be fetched; the message says which source, why each mirror failed, and the way out.

    passing    a mirror was out of reach or too busy: the same command may do later
    missing    the sources that no mirror delivers
    """

    def __init__(self, message: str, *, passing: bool = False, missing: tuple[SourceEntry, ...] = ()) -> None:
        super().__init__(message)
        self.passing = passing
        self.missing = missing


class MirrorError(Exception):
    """One mirror cannot deliver; the next one may. `passing` as in FetchError."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class FetchStopped(BaseException):
    """The user asked to stop. Like KeyboardInterrupt not an Exception, so that nothing mistakes it for a fault and retries."""
