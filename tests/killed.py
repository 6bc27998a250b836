"""Kill a piece of code before its n-th file-system step, in a child process: what is left must never pass for a result."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

# As Python announces them to audit hooks: the event comes when the step is about to happen.
STEPS = ("open", "os.mkdir", "os.rename", "os.truncate", "os.remove", "os.rmdir", "shutil.rmtree")


def killed_before(step: int, action: Callable[[], object], *folders: Path) -> bool:
    """Run `action` in a forked child that dies before the given step (1-based) on a path below `folders`.

    Returns whether it died; False: it came to its end before that step.
    """
    child = os.fork()
    if child == 0:
        seen = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            if event in STEPS and any(str(folder) in str(arguments) for folder in folders):
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            action()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])
