"""The one training loop: it knows batches and models.method.Method, and asks no method for its name.

One optimiser step: rate of the step -> for every part of the batch: observe, draw, forward, losses, backward, remember -> clip
-> update.
Nothing in it waits for a GPU; losses are read every `log_every` steps (every step on the CPU, where reading is free).

While it goes there are in the run's folder history.csv, rewritten every epoch, and a link to its states (checkpoints.py).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from models.method import Method
from stages.training.batches import Feed, Indices, VaryingFeed, cut, shuffled
from stages.training.checkpoints import Identity, Policy, Progress, ResumeFolder
from stages.training.history import write_history
from stages.training.optimisers import build_optimiser, clip, set_rate
from stages.training.processes import Processes
from stages.training.runs import CONFIG, HISTORY, WEIGHTS
from stages.training.schedules import learning_rate, reductions_so_far
from stages.training.seeding import derived, seed_step
from stages.training.settings import Recipe
from stages.training.watch import Meter, NonFiniteError, first_non_finite, tracing

Validate = Callable[[Method], Mapping[str, float]]

TOTAL, NORM = "total", "grad_norm"  # keys: of Method.losses; of the history
PRECISION = {"none": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

log = logging.getLogger(__name__)


class TrainingError(RuntimeError):
    """Training cannot go on. The message names the step, its samples and the way out."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a training ends with: the weights of the chosen epoch, and how it was chosen (None: the last epoch)."""

    weights: dict[str, Tensor]
    selection: dict[str, Any] | None


class Objective(nn.Module):
    """Forward pass and losses as one module, so that one wrapper (compile, several processes) sees every parameter in use."""

    def __init__(self, model: Method, device: torch.device, amp: str) -> None:
        super().__init__()
        self.model = model
        self._device, self._amp = device.type, amp
        self._remembers = type(model).remember is not Method.remember
        self._passed: tuple[Any, Any] | None = None

    def forward(self, batch: Any, draws: Any) -> dict[str, Tensor]:
        """Every loss term of the batch, "total" among them. Losses are computed outside autocast."""
        with torch.autocast(self._device, dtype=PRECISION[self._amp], enabled=self._amp != "none"):
            output = self.model(batch, draws)
        losses = self.model.losses(output, batch)
        if self.model.training and self._remembers:
            self._passed = output, batch
        return losses

    def remember(self) -> None:
        """Have the model take in what the last pass has computed, once its backward pass, which may read the memory, is over."""
        if self._passed is not None:
            self.model.remember(*self._passed)
            self._passed = None


class Training:
    """One training of one model; `run` does it. The model is moved to this process's device.

    validate    metrics of the model by name, called in eval state and without gradient by the first process alone
    debug_nan   look at every module and gradient, slowly, and name the first that is not finite
    """

    def __init__(
        self,
        model: Method,
        feed: Feed,
        settings: Recipe,
        *,
        seed: int,
        folder: Path,
        identity: Identity,
        processes: Processes,
        validate: Validate | None = None,
        debug_nan: bool = False,
    ) -> None:
        self.settings, self.seed, self.feed, self.processes = settings, seed, feed, processes
        self.model = model.to(processes.device)
        self.folder, self.validate, self.debug_nan = folder, validate, debug_nan
        self.resume = ResumeFolder(folder, identity)
        self.optimiser = build_optimiser(settings, self.model)
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=settings.amp == "fp16")
        self.steps_per_epoch = len(self._batches(0))
        if not self.steps_per_epoch:
            raise TrainingError(
                f"{len(feed)} samples make no batch of {settings.batch_size}; set drop_last: false or a smaller batch"
            )
        if settings.select is not None and validate is None:
            raise TrainingError(f"select is {settings.select!r}, but there is nothing to validate on; set select: null")
        objective = Objective(self.model, processes.device, settings.amp)
        if settings.compile and not debug_nan:
            objective.compile()
        self._alone, self.objective = objective, processes.wrap(objective)
        self.progress = Progress()
        self.look_every = 1 if debug_nan or processes.device.type == "cpu" else settings.log_every

    def run(self, policy: Policy = "auto") -> Kept:
        """Train to the end, going on from a resumable state as `policy` says (checkpoints.ResumeFolder.load).

        Raises TrainingError: a loss or gradient that is not finite, a metric that is missing or not a number.
        """
        self._restore(policy)
        tolerated = [NORM] if self.settings.amp == "fp16" else []
        meter = Meter(self.processes, self.progress.sums, tolerated=tolerated)
        total = self.settings.epochs * self.steps_per_epoch
        shown = {"total": total, "initial": self.progress.step, "unit": "step", "smoothing": 0.05, "dynamic_ncols": True}
        with tqdm(**shown, disable=not self.processes.first, mininterval=1.0) as bar:
            while self.progress.step < total:
                self._epoch(self.progress.step // self.steps_per_epoch, meter, bar)
        return self._kept()

    def finish(self) -> None:
        """Remove the resumable state, once what `run` returned is on the disk."""
        if self.processes.first:
            self.resume.clear()

    def _epoch(self, epoch: int, meter: Meter, bar: Any) -> None:
        """The rest of an epoch, its validation, its row and its state."""
        self.model.train()
        self.model.enter(epoch + 1)
        bar.set_description(f"epoch {epoch + 1}/{self.settings.epochs}", refresh=False)
        done = self.progress.step - epoch * self.steps_per_epoch
        rate = math.nan
        for indices in self._batches(epoch)[done:]:
            step = self.progress.step
            reductions = reductions_so_far(self.settings, self.progress.validations)
            rate = learning_rate(self.settings, step=step, steps_per_epoch=self.steps_per_epoch, reductions=reductions)
            set_rate(self.optimiser, rate)
            meter.add(step, self._step(step, indices))
            self.progress.step += 1
            bar.update()
            last = self.progress.step == (epoch + 1) * self.steps_per_epoch
            keep = not last and self.settings.keep_every and self.progress.step % self.settings.keep_every == 0
            if last or keep or self.progress.step % self.look_every == 0:
                bar.set_postfix({"loss": f"{self._look(meter)[TOTAL]:.4f}", "lr": f"{rate:.2e}"}, refresh=False)
            if keep:
                self._save()
        self.progress.rows.append({"epoch": epoch + 1, "step": self.progress.step, "lr": rate, **meter.close()})
        self.model.eval()
        with torch.no_grad():
            self.model.settle(self._in_order())
        self._validate(epoch)
        if self.processes.first:
            write_history(self.folder / HISTORY, self.progress.rows)
            bar.write(_summary(self.progress, self.settings), file=bar.fp)
        self._save()

    def _batches(self, epoch: int) -> list[Indices]:
        """Batches of an epoch; a last one that could not give every process a sample is left out."""
        order = shuffled(len(self.feed), repeat=self.settings.repeat, seed=self.seed, epoch=epoch)
        batches = cut(order, self.settings.batch_size, drop_last=self.settings.drop_last)
        return [batch for batch in batches if len(batch) >= self.processes.count]

    def _in_order(self) -> Iterator[Any]:
        """Every training sample once, on the device."""
        for indices in cut(np.arange(len(self.feed), dtype=np.int64), self.settings.batch_size):
            yield self.feed.batch(indices).to(self.processes.device)

    def _step(self, step: int, indices: Indices) -> dict[str, Tensor]:
        """One optimiser step; its loss terms and gradient norm as scalars on the device."""
        self.optimiser.zero_grad(set_to_none=True)
        terms: dict[str, Tensor] = {}
        for weight, losses in self._parts(step, indices):
            for name, value in losses.items():
                terms[name] = terms.get(name, 0.0) + weight * value.detach()
        self.scaler.unscale_(self.optimiser)
        clipped = (parameter for name, parameter in self.model.named_parameters() if name not in self.model.apart)
        terms[NORM] = clip(clipped, self.settings.clip_norm)
        if self.debug_nan and not self.scaler.is_enabled() and (culprit := first_non_finite(self.model)):
            raise TrainingError(self._located(step, f"{culprit} is not finite"))
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return terms

    def _parts(self, step: int, indices: Indices) -> Iterator[tuple[float, dict[str, Tensor]]]:
        """Forward and backward pass of every part of this process's share: (its weight, its losses).

        Weighted by their sizes, the parts' mean gradients add up to the batch's, whatever the number of parts and processes.
        """
        share = self.processes.share(indices)
        count = min(self.settings.accumulate, len(indices) // self.processes.count)
        for number, part in enumerate(np.array_split(share, count)):
            batch = self._batch(part, step, number).to(self.processes.device)
            generator = seed_step(self.seed, self.processes.device, step, number, self.processes.rank)
            self.model.observe(batch)
            weight = len(part) / len(indices)
            with nullcontext() if number == count - 1 else self.processes.keep_local(self.objective):
                losses = self._losses(step, batch, self.model.draw(batch, generator))
                # averaged over the processes afterwards, hence the factor
                self.scaler.scale(losses[TOTAL] * (weight * self.processes.count)).backward()
            self._alone.remember()
            yield weight * self.processes.count, losses

    def _batch(self, part: Indices, *place: int) -> Any:
        """The samples as they are read at this place of the training: step, part of the batch, and this process."""
        if isinstance(self.feed, VaryingFeed):
            return self.feed.vary(part, np.random.default_rng(derived(self.seed, "texts", *place, self.processes.rank)))
        return self.feed.batch(part)

    def _losses(self, step: int, batch: Any, draws: Any) -> dict[str, Tensor]:
        if not self.debug_nan:
            return self.objective(batch, draws)  # type: ignore[no-any-return]
        found: list[str] = []
        with tracing(self.model, found):
            losses: dict[str, Tensor] = self.objective(batch, draws)
        bad = [name for name, value in losses.items() if not bool(torch.isfinite(value))]
        if bad:
            begin = found[0] if found else "the losses themselves"
            raise TrainingError(self._located(step, f"first not finite: {begin}; loss terms not finite: {', '.join(bad)}"))
        return losses

    def _look(self, meter: Meter) -> dict[str, float]:
        try:
            return meter.look()
        except NonFiniteError as error:
            raise TrainingError(self._located(error.step, f"{error.term} is {error.value}")) from error

    def _located(self, step: int, what: str) -> str:
        """A complaint with the place of a step: epoch, batch, samples, what to do."""
        epoch, number = divmod(step, self.steps_per_epoch)
        names = self.feed.names(self._batches(epoch)[number])
        way = (
            "the features and targets of these samples are the first thing to look at"
            if self.debug_nan
            else "run again with --debug-nan to see where it begins, with a smaller lr, or without amp"
        )
        place = f"epoch {epoch + 1}, batch {number + 1} of {self.steps_per_epoch} (step {step})"
        return f"{place}: {what}; samples: {', '.join(names)}; {way}"

    def _validate(self, epoch: int) -> None:
        """Put the metrics into the newest row; keep the weights if they are the best so far."""
        due = (epoch + 1) % self.settings.validate_every == 0 or epoch + 1 == self.settings.epochs
        if self.validate is None or not due:
            return
        metrics: dict[str, float] = {}
        if self.processes.first:
            with torch.no_grad():
                metrics = {name: float(value) for name, value in self.validate(self.model).items()}
        metrics = self.processes.from_first(metrics)
        self.progress.rows[-1].update(metrics)
        if (select := self.settings.select) is None:
            return
        if select not in metrics:
            raise TrainingError(f"select: no validation metric {select!r}; there are {', '.join(sorted(metrics))}")
        if not math.isfinite(value := metrics[select]):
            raise TrainingError(f"epoch {epoch + 1}: validation metric {select} is {value}; choose another in select")
        self.progress.validations.append(value)
        best, sign = self.progress.best, 1 if self.settings.select_mode == "max" else -1
        if best is None or sign * (value - best["value"]) > 0:
            file = self.resume.keep_best(epoch + 1, self.model.state_dict()) if self.processes.first else ""
            self.progress.best = {"epoch": epoch + 1, "value": value, "file": file}

    def _save(self) -> None:
        if self.processes.first:
            tensors = {
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(),
            }
            self.resume.save(tensors, self.progress)

    def _restore(self, policy: Policy) -> None:
        """Go on from a state, or clear away the results of an older training."""
        found = self.resume.load(policy) if self.processes.count == 1 else self._restored_together(policy)
        if found is None:
            for name in (CONFIG, WEIGHTS, HISTORY):
                if self.processes.first:
                    (self.folder / name).unlink(missing_ok=True)
            return
        tensors, self.progress = found
        self.model.load_state_dict(tensors["model"])
        self.optimiser.load_state_dict(tensors["optimiser"])
        self.scaler.load_state_dict(tensors["scaler"])
        log.warning("going on after step %d of %d", self.progress.step, self.settings.epochs * self.steps_per_epoch)
        if self.processes.first and self.progress.rows:
            write_history(self.folder / HISTORY, self.progress.rows)

    def _restored_together(self, policy: Policy) -> tuple[dict[str, Any], Progress] | None:
        """The first process decides, for it may clear the folder; the others read the same state or none."""
        mine = self.resume.load(policy) if self.processes.first else None
        usable = self.processes.from_first(mine is not None)
        return mine if self.processes.first or not usable else self.resume.load(policy)

    def _kept(self) -> Kept:
        best = self.progress.best
        if best is None:
            return Kept(weights=self.model.state_dict(), selection=None)
        weights = self.resume.best_weights(self.progress) if self.processes.first else {}
        selection = {"metric": self.settings.select, "mode": self.settings.select_mode}
        return Kept(weights=weights, selection=selection | {"epoch": best["epoch"], "value": best["value"]})


def _summary(progress: Progress, settings: Recipe) -> str:
    """One line on the newest epoch, for logs that keep no progress bar."""
    row = progress.rows[-1]
    chosen = f", {settings.select} {row[settings.select]:.4g}" if settings.select in row else ""
    best = ", the best so far" if progress.best is not None and progress.best["epoch"] == row["epoch"] else ""
    return f"epoch {row['epoch']}/{settings.epochs}: loss {row.get(TOTAL, math.nan):.4f}{chosen}{best}"
