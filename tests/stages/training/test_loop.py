import csv
import math
import re

import numpy as np
import pytest
import torch

from stages.training.loop import TrainingError
from tests.stages.training.toy import Line, PointFeed, settings, training


def weights(kept):
    return {key: value.clone() for key, value in kept.weights.items()}


def history(folder):
    with (folder / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one.keys() | other.keys())


def test_a_line_is_learnt(tmp_path):
    train = settings(epochs=8, batch_size=2, weight_decay=0.0)
    training(tmp_path, train, feed=PointFeed(80)).run()
    rows = history(tmp_path)
    assert list(rows[0]) == ["epoch", "step", "lr", "fit", "size", "total", "grad_norm"]
    assert [row["step"] for row in rows[:2]] == ["40", "80"]
    assert float(rows[-1]["fit"]) < 0.05 < 0.5 < float(rows[0]["fit"])


def test_one_seed_gives_one_result_and_another_seed_another(tmp_path):
    first, again, other = (
        weights(training(tmp_path / name, model=Line(dropout=0.3, noise=0.1), seed=seed).run())
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert same(first, again)
    assert not same(first, other)
    assert (tmp_path / "a/history.csv").read_bytes() == (tmp_path / "b/history.csv").read_bytes()


class InterruptionError(Exception):
    pass


def interrupted(feed, after):
    """The feed, which fails at its `after`-th batch."""

    class Failing(PointFeed):
        left = after

        def batch(self, indices, *, targets=True):
            Failing.left -= 1
            if Failing.left < 0:
                raise InterruptionError
            return super().batch(indices, targets=targets)

    return Failing(len(feed))


@pytest.mark.parametrize("amp", ["none", "bf16", "fp16"])
@pytest.mark.parametrize("after", [1, 7, 10])
def test_an_interrupted_training_ends_in_the_same_bits(tmp_path, after, amp):
    def metric(model):
        return {"score": float(model.out.weight.sum())}

    def begin(name, feed):
        train = settings(keep_every=2, amp=amp, select="score", accumulate=2, schedule="plateau", warmup_steps=0)
        model = Line(dropout=0.3, noise=0.1)
        return training(tmp_path / name, train, model=model, feed=feed, validate=metric)

    whole = begin("whole", PointFeed()).run()
    with pytest.raises(InterruptionError):
        begin("cut", interrupted(PointFeed(), 2 * after)).run()
    later = begin("cut", PointFeed())
    kept = later.run()
    assert same(whole.weights, kept.weights)
    assert whole.selection == kept.selection
    assert (tmp_path / "whole/history.csv").read_bytes() == (tmp_path / "cut/history.csv").read_bytes()
    later.finish()
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["history.csv"]


def test_a_finished_training_has_nothing_left_to_do(tmp_path):
    whole = weights(training(tmp_path).run())
    again = training(tmp_path, feed=interrupted(PointFeed(), 0))
    assert same(whole, weights(again.run()))


def test_parts_of_a_batch_add_up_to_the_batch(tmp_path):
    whole = weights(training(tmp_path / "a").run())
    parts = weights(training(tmp_path / "b", settings(accumulate=4)).run())
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, atol=1e-5, rtol=1e-5)
    for one, other in zip(history(tmp_path / "a"), history(tmp_path / "b"), strict=True):
        assert float(one["fit"]) == pytest.approx(float(other["fit"]), rel=1e-4)


def test_uneven_parts_of_a_small_last_batch_add_up_too(tmp_path):
    feed = PointFeed(11)  # batches of 8 and 3, parts of 2 and 1
    whole = weights(training(tmp_path / "a", feed=feed).run())
    parts = weights(training(tmp_path / "b", settings(accumulate=4), feed=feed).run())
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, atol=1e-5, rtol=1e-5)


def test_a_model_observes_every_point_once_an_epoch(tmp_path):
    model = Line()
    training(tmp_path, settings(epochs=2, repeat=3, accumulate=2), model=model).run()
    assert model.seen.item() == 2 * 3 * 40


def test_a_last_batch_can_be_left_out(tmp_path):
    assert training(tmp_path, settings(drop_last=True), feed=PointFeed(15)).steps_per_epoch == 1
    with pytest.raises(TrainingError, match="7 samples make no batch of 8; set drop_last: false"):
        training(tmp_path, settings(drop_last=True), feed=PointFeed(7))


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_half_precision_learns_too(tmp_path, amp):
    training(tmp_path, settings(epochs=4, batch_size=2, amp=amp, weight_decay=0.0), feed=PointFeed(80)).run()
    rows = history(tmp_path)
    assert float(rows[-1]["fit"]) < 0.1
    assert all(math.isfinite(float(row["grad_norm"])) for row in rows)


def broken_feed(place, value=math.nan):
    feed = PointFeed()
    feed.x[place] = value
    return feed


def test_a_loss_that_is_not_finite_names_its_term_and_its_samples(tmp_path):
    with pytest.raises(
        TrainingError, match=r"epoch 1, batch \d of 5 \(step \d\): fit is nan; samples: (p\d+, )*p17(,|;).*--debug-nan"
    ):
        training(tmp_path, feed=broken_feed(17)).run()
    assert not (tmp_path / "resume").exists()


def test_a_rare_look_finds_the_very_step(tmp_path):
    def message(look_every):
        rare = training(tmp_path / str(look_every), feed=broken_feed(17))
        rare.look_every = look_every
        with pytest.raises(TrainingError) as caught:
            rare.run()
        return str(caught.value)

    assert message(100) == message(1)


def test_debugging_names_the_module_that_begins_it(tmp_path):
    with pytest.raises(
        TrainingError, match=r"first not finite: output of hidden \(Linear\); loss terms not finite: fit, size, total"
    ):
        training(tmp_path, feed=broken_feed(17), debug_nan=True).run()


class RootLine(Line):
    """Its second loss has no finite gradient at zero."""

    def losses(self, output, batch):
        terms = super().losses(output, batch)
        return terms | {"total": terms["total"] + (self.dead - 1).abs().sqrt().sum()}


def test_a_gradient_that_is_not_finite_is_an_error_and_debugging_names_its_parameter(tmp_path):
    with pytest.raises(TrainingError, match=r"grad_norm is nan|grad_norm is inf"):
        training(tmp_path, model=RootLine()).run()
    with pytest.raises(TrainingError, match=r"gradient of dead is not finite"):
        training(tmp_path, model=RootLine(), debug_nan=True).run()


def scores(values):
    """A validation that gives these numbers one after the other."""
    given = iter(values)
    return lambda model: {"score": next(given), "other": 1.0}


def test_the_first_best_epoch_is_kept(tmp_path):
    after = []
    model = Line()
    values = iter([1.0, 5.0, 5.0])

    def validate(model):
        assert not model.training
        after.append({key: value.clone() for key, value in model.state_dict().items()})
        return {"score": next(values)}

    kept = training(tmp_path, settings(select="score"), model=model, validate=validate).run()
    assert kept.selection == {"metric": "score", "mode": "max", "epoch": 2, "value": 5.0}
    assert same(kept.weights, after[1])
    assert [row["score"] for row in history(tmp_path)] == ["1", "5", "5"]


def test_less_can_be_better_and_validation_can_be_rare(tmp_path):
    train = settings(epochs=5, select="score", select_mode="min", validate_every=2)
    kept = training(tmp_path, train, validate=scores([3.0, 2.0, 4.0])).run()
    assert kept.selection is not None
    assert kept.selection["epoch"] == 4
    assert [row["score"] for row in history(tmp_path)] == ["", "3", "", "2", "4"]


def test_without_a_metric_the_last_epoch_is_kept(tmp_path):
    model = Line()
    kept = training(tmp_path, model=model, validate=scores([3.0, 2.0, 1.0])).run()
    assert kept.selection is None
    assert same(kept.weights, model.state_dict())


@pytest.mark.parametrize(
    ("values", "select", "complaint"),
    [
        ([1.0], "MR-mAP", "no validation metric 'MR-mAP'; there are other, score"),
        ([math.nan], "score", "epoch 1: validation metric score is nan"),
    ],
)
def test_a_metric_that_cannot_select_is_an_error(tmp_path, values, select, complaint):
    with pytest.raises(TrainingError, match=re.escape(complaint)):
        training(tmp_path, settings(select=select), validate=scores(values)).run()


def test_selecting_without_a_validation_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match="there is nothing to validate on"):
        training(tmp_path, settings(select="score"))


def test_results_of_an_older_training_do_not_survive_the_start_of_a_new_one(tmp_path):
    for name in ("config.json", "model.safetensors", "history.csv"):
        (tmp_path / name).write_text("old")
    with pytest.raises(InterruptionError):
        training(tmp_path, feed=interrupted(PointFeed(), 1)).run()
    assert list(tmp_path.iterdir()) == []


def test_gradients_are_clipped_but_told_as_they_were(tmp_path):
    norms = []

    class Watched(Line):
        def observe(self, batch):
            if self.out.weight.grad is not None:
                grads = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
                norms.append(float(torch.stack([grad.norm() for grad in grads]).norm()))

    # gradients are set to None before a step, so what observe sees in the second part of a batch is that of its first
    training(tmp_path, settings(accumulate=2, clip_norm=1e-3), model=Watched()).run()
    assert float(history(tmp_path)[0]["grad_norm"]) > 0.01
    assert max(norms) > 0.01


def test_a_memory_takes_in_a_pass_once_the_backward_pass_has_read_it(tmp_path):
    class Remembering(Line):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(1))

        def forward(self, batch, draws):
            return super().forward(batch, draws) + self.mean * self.out.bias  # so that the gradient needs the memory as it was

        def remember(self, output, batch):
            self.mean.add_(output.detach().mean())

    kept = weights(training(tmp_path, settings(epochs=1, accumulate=2), model=Remembering()).run())
    assert float(kept["mean"]) != 0


def test_the_compiled_step_is_the_same_training(tmp_path):
    plain = weights(training(tmp_path / "a", settings(epochs=1)).run())
    compiled = training(tmp_path / "b", settings(epochs=1, compile=True))
    compiled.objective.compile(backend="eager")  # the backend is not ours to test, the way through it is
    for key, value in weights(compiled.run()).items():
        torch.testing.assert_close(value, plain[key])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_step_never_waits_for_the_gpu(tmp_path):
    from stages.training.processes import Processes

    running = training(tmp_path, processes=Processes(device=torch.device("cuda")))
    running._step(0, np.arange(8))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        running._step(1, np.arange(8, 16))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_model_remembers_after_its_losses_and_settles_once_an_epoch(tmp_path):
    calls = []

    class Remembering(Line):
        def losses(self, output, batch):
            calls.append("losses")
            return super().losses(output, batch)

        def remember(self, output, batch):
            calls.append("remember")
            assert len(output) == len(batch)

        def settle(self, batches):
            calls.append(("settle", sum(map(len, batches)), self.training, torch.is_grad_enabled()))

    feed = PointFeed()
    training(tmp_path, settings(epochs=2, batch_size=len(feed)), model=Remembering(), feed=feed).run()
    assert calls == ["losses", "remember", ("settle", len(feed), False, False)] * 2
