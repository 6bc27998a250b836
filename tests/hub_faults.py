"""How the test Hub misbehaves on request: rules that match an operation and a path, a number of times."""

from __future__ import annotations

import fnmatch
import threading
from dataclasses import dataclass, field
from typing import Any

FAULTS = {
    "cut": "close the connection after `after` bytes of the body",
    "wrong": "send as many bytes as announced, but others",
    "replace": "send `content` instead, with its own length",
    "status": "answer `status`, with Retry-After: `retry_after` where given",
    "hide": "leave the file out of the listing",
    "rename": "list the file as `to`",
    "announce": "list the file with size `bytes`",
    "commit": "say that the revision is commit `sha`",
    "last-page": "leave out the link to the next page of the listing",
    "slow": "wait `seconds` before the answer, then send `rate` bytes a second",
    "reset": "close the connection without an answer",
    "no-range": "ignore the Range header",
    "html": "answer 200 with a page of HTML, as a captive portal does",
    "encoded": "send the body compressed, with Content-Encoding: gzip, whatever was asked for",
    "no-etag": "leave out ETag and Last-Modified",
}
OPERATIONS = ("info", "tree", "paths-info", "resolve", "storage", "plain", "any")


@dataclass
class Rule:
    """One fault; `times` counts down, -1 is for ever; `skip` lets that many matching requests through first."""

    fault: str
    operation: str = "any"
    path: str = "*"
    times: int = 1
    skip: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.fault not in FAULTS:
            raise ValueError(f"no fault {self.fault!r}: {', '.join(FAULTS)}")
        if self.operation not in OPERATIONS:
            raise ValueError(f"no operation {self.operation!r}: {', '.join(OPERATIONS)}")


class Faults:
    """The rules in force; several may match one request."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(self, description: dict[str, Any]) -> None:
        known = {name: description.pop(name) for name in ("fault", "operation", "path", "times", "skip") if name in description}
        rule = Rule(**known, settings=description)
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def __bool__(self) -> bool:
        return bool(self._rules)

    def take(self, fault: str, operation: str, path: str) -> dict[str, Any] | None:
        """Settings of the first rule of this fault that matches, counted as used; None if there is none."""
        if not self._rules:
            return None
        with self._lock:
            for rule in self._rules:
                if rule.fault != fault or rule.operation not in ("any", operation) or rule.times == 0:
                    continue
                if not fnmatch.fnmatchcase(path, rule.path):
                    continue
                if rule.skip > 0:
                    rule.skip -= 1
                    continue
                rule.times -= 1
                return rule.settings
        return None
