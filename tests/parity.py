"""Our implementation on stored parity cases: inputs, weights and outputs of a reference implementation.

    python -m tests.parity CASE_DIR [CASE_DIR ...]

A case is a folder with config.json (key `method`, or keys that only one method's cases have), inputs.npz, outputs.npz (or .json,
where they are no arrays) and, where there is a network, weights.safetensors under the reference's key names, its own or a sibling
folder's (`weights_from`). What is compared, and how closely, is in tests/parity_cases/<method>.py, which decides from config.json
and the arrays alone. One JSON line per case; exit code 1 if any case fails or has an output that nothing was compared with.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors.torch import load_file
from torch import Tensor

OWN_KEYS = (  # of cases that need not name their method
    ("igv", {"vid_dim", "vocab_num"}),
    ("igv", {"module", "mm_dim", "chunks", "rank"}),
    ("eigv", {"app_pool5_dim", "module_dim"}),
    ("transtr", {"variant", "topK_frame"}),
)


@dataclass(frozen=True)
class Case:
    """One folder, read."""

    folder: Path
    config: dict[str, Any]
    inputs: dict[str, Any]
    outputs: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Case:
        """Raises OSError or ValueError for a folder that is no case."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return cls(folder, config, *(_named(folder, name) for name in ("inputs", "outputs")))

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The reference's tensors by its own key names."""
        folder = self.folder.parent / self.config["weights_from"] if "weights_from" in self.config else self.folder
        weights: dict[str, Tensor] = load_file(folder / "weights.safetensors")
        return weights

    def indexed(self, field_name: str) -> list[NDArray[Any]]:
        """The inputs <field>/0, <field>/1, ..."""
        found = {int(key.rsplit("/", 1)[1]): key for key in self.inputs if key.rsplit("/", 1)[0] == field_name}
        return [self.inputs[found[index]] for index in sorted(found)]


@dataclass
class Comparison:
    """Collects, per output, the largest absolute error and the error that is allowed there."""

    expected: dict[str, Any]
    errors: dict[str, float | None] = field(default_factory=dict)
    tolerances: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    exempt: set[str] = field(default_factory=set)

    def close(
        self,
        name: str,
        ours: Any,
        tolerance: ArrayLike,
        *,
        relative_to: ArrayLike = 1.0,
        where: ArrayLike | None = None,
        expected: ArrayLike | None = None,
    ) -> None:
        """|ours - expected| <= tolerance * relative_to, element by element; equal infinities and NaNs agree.

        `where` restricts the comparison; `expected` stands for outputs.npz where a value is kept elsewhere.
        """
        theirs = np.asarray(self.expected[name] if expected is None else expected)
        ours = np.asarray(ours.detach().cpu() if isinstance(ours, Tensor) else ours)
        if ours.shape != theirs.shape:
            self._note(name, None, 0.0, f"{name}: shape {ours.shape}, expected {theirs.shape}")
            return
        with np.errstate(invalid="ignore"):
            difference = np.asarray(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)))
        difference[(ours == theirs) | ((ours != ours) & (theirs != theirs))] = 0.0
        allowed = np.broadcast_to(np.asarray(tolerance) * np.asarray(relative_to), difference.shape)
        if where is not None:
            difference, allowed = difference[np.asarray(where)], allowed[np.asarray(where)]
        if not difference.size:
            self._note(name, 0.0, 0.0, None)
            return
        largest = int(np.argmax(difference))  # of NaN, if there is one
        error = float(difference.flat[largest])
        worst = int(np.argmax(difference - allowed))
        wrong = not bool(np.all(difference <= allowed))
        complaint = f"{name}: differs by {difference.flat[worst]:.3g}, allowed {allowed.flat[worst]:.3g}"
        self._note(name, error if np.isfinite(error) else None, float(allowed.flat[largest]), complaint if wrong else None)

    def exact(self, name: str, ours: Any, *, expected: ArrayLike | None = None) -> None:
        """Equal, element by element."""
        self.close(name, ours, 0.0, expected=expected)

    def equal(self, name: str, ours: object, expected: object) -> None:
        """Equal Python values, for what is not an array: the error is 0 or 1."""
        same = ours == expected
        self._note(name, float(not same), 0.0, None if same else f"{name}: {_short(ours)}, expected {_short(expected)}")

    def ignore(self, *names: str) -> None:
        """Outputs that the case states for information only."""
        self.exempt.update(names)

    @property
    def not_compared(self) -> list[str]:
        """Outputs that nothing was said about."""
        return sorted(set(self.expected) - set(self.errors) - self.exempt)

    @property
    def passed(self) -> bool:
        """Everything compared, everything within its tolerance."""
        return not self.failures and not self.not_compared

    def _note(self, name: str, error: float | None, tolerance: float, failure: str | None) -> None:
        if name in self.errors:
            raise ValueError(f"{name} was compared twice")
        self.errors[name], self.tolerances[name] = error, tolerance
        if failure is not None:
            self.failures.append(failure)


def method_of(config: Mapping[str, Any]) -> str:
    """The method that a case names, or else the one whose own keys it has.

    Raises LookupError if it has neither.
    """
    if "method" in config:
        return str(config["method"])
    for method, keys in OWN_KEYS:
        if keys <= config.keys():
            return method
    raise LookupError("config.json: no key method, and none of the keys that tell a method's cases")


def run(folder: Path) -> dict[str, Any]:
    """The result of one case as printed. Whatever goes wrong is part of the result: one bad case hides no other."""
    result: dict[str, Any] = {"case": folder.name, "method": None, "max_abs_error": {}, "tolerance": {}, "passed": False}
    try:
        case = Case.read(folder)
        method = method_of(case.config)
        result |= {"case": case.config.get("case", folder.name), "method": method}
        comparison = Comparison(case.outputs)
        _method(method).compare(case, comparison)
    except Exception as error:
        traceback.print_exc()
        return result | {"failures": [f"{type(error).__name__}: {error}"]}
    return result | {
        "max_abs_error": comparison.errors,
        "tolerance": comparison.tolerances,
        "passed": comparison.passed,
        "failures": comparison.failures,
        "not_compared": comparison.not_compared,
    }


def main(argv: list[str] | None = None) -> int:
    """Command line; the exit code is returned."""
    parser = argparse.ArgumentParser(
        prog="tests.parity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="+", type=Path, metavar="CASE_DIR")
    passed = True
    for folder in parser.parse_args(argv).cases:
        result = run(folder)
        passed &= result["passed"]
        print(json.dumps(result, allow_nan=False), flush=True)
    return 0 if passed else 1


def _method(name: str) -> Any:
    known = sorted(path.stem for path in (Path(__file__).parent / "parity_cases").glob("*.py"))
    if name not in known:
        raise LookupError(f"no parity runner for method {name!r}: tests/parity_cases/ has {', '.join(known)}")
    return importlib.import_module(f"tests.parity_cases.{name}")


def _named(folder: Path, name: str) -> dict[str, Any]:
    """Arrays of <name>.npz, or the entries of <name>.json: an object's by key, a list's by place."""
    if (folder / f"{name}.npz").is_file() or not (folder / f"{name}.json").is_file():
        return _arrays(folder / f"{name}.npz")
    value = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else {str(place): item for place, item in enumerate(value)}


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


if __name__ == "__main__":
    sys.exit(main())
