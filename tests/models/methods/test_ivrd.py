"""IVRD: padding, order and batch partners change nothing; what the memory takes in, and when."""

import pytest
import torch

from models.batch import PairScores
from tests.models.relations import CLASSES, PREDICATES, network, segment, together

FORMS = pytest.mark.parametrize(
    "form", [{"expectation": "exact"}, {"prior": "frequency"}, {"prior": "none"}, {"normalised": True}]
)


def results(model, batch):
    with torch.no_grad():
        return model.eval().decode(model(batch), batch)


def assert_same(one: PairScores, other: PairScores):
    torch.testing.assert_close(one.objects, other.objects)
    assert torch.equal(one.pairs, other.pairs)
    torch.testing.assert_close(one.predicates, other.predicates)


@FORMS
def test_a_batch_equals_its_segments_one_by_one_whatever_the_padding(form):
    model = network(**form)
    parts = [segment(2, seed=1), segment(4, seed=2), segment(3, seed=3)]
    for one, alone in zip(results(model, together(*parts, spare=3)), parts, strict=True):
        assert_same(one, results(model, alone)[0])


def test_losses_do_not_depend_on_padding():
    model = network().eval()
    tight, wide = together(segment(3), segment(4)), together(segment(3), segment(4), spare=2)
    for name, value in model.losses(model(tight), tight).items():
        torch.testing.assert_close(value, model.losses(model(wide), wide)[name])


def test_pairs_may_come_in_any_order():
    model, batch = network(), segment(4)
    order = torch.randperm(batch.pairs.shape[1], generator=torch.Generator().manual_seed(1))
    shuffled = type(batch)(**{**vars(batch), "pairs": batch.pairs[:, order], "labels": batch.labels[:, order]})
    torch.testing.assert_close(results(model, shuffled)[0].predicates, results(model, batch)[0].predicates[order])


def test_a_pair_is_ordered():
    scores = results(network(), segment(2))[0]
    assert scores.pairs.tolist() == [[0, 1], [1, 0]]
    assert not torch.allclose(scores.predicates[0], scores.predicates[1])


@FORMS
def test_probabilities_come_out(form):
    scores = results(network(**form), segment(3))[0]
    assert scores.predicates.shape == (6, PREDICATES)
    assert ((scores.predicates > 0) & (scores.predicates < 1)).all()
    torch.testing.assert_close(scores.objects.sum(dim=1), torch.ones(3))


def test_object_scores_come_from_whom_the_config_names():
    batch = segment(3)
    detector, branch, mean = (results(network(object_scores=who), batch)[0].objects for who in ("detector", "branch", "average"))
    torch.testing.assert_close(detector, batch.detector[0])
    torch.testing.assert_close(mean, (detector + branch) / 2)


def test_all_labelled_pairs_are_drawn_and_at_most_three_others_for_each():
    batch = together(segment(5, seed=1), segment(2, seed=2), segment(4, seed=3))
    draws = network().draw(batch, torch.Generator().manual_seed(0))
    for row in range(3):
        chosen = draws.chosen[row][draws.mask[row]]
        labelled = batch.labels[row].any(dim=-1)
        assert len(set(chosen.tolist())) == len(chosen) == min(4 * int(labelled.sum()), int(batch.pairs_mask[row].sum()))
        assert labelled[chosen].sum() == labelled.sum()
        assert batch.pairs_mask[row][chosen].all()


def test_no_segment_gives_more_pairs_than_the_config_allows_and_labelled_ones_come_first():
    batch = segment(5)
    draws = network(pairs=2).draw(batch, torch.Generator().manual_seed(0))
    assert draws.mask.shape == (1, 2)
    assert batch.labels[0].any(dim=-1)[draws.chosen[0]].all()


def test_unlabelled_pairs_are_drawn_uniformly():
    batch, model, hits = segment(4), network(negatives=1), torch.zeros(12)
    for seed in range(600):
        draws = model.draw(batch, torch.Generator().manual_seed(seed))
        hits[draws.chosen[0][draws.mask[0]]] += 1
    unlabelled = hits[~batch.labels[0].any(dim=-1)] / 600
    assert (unlabelled - 0.2).abs().max() < 0.06


def test_a_segment_without_labels_trains_objects_only():
    batch = segment(3)
    bare = type(batch)(**{**vars(batch), "labels": torch.zeros_like(batch.labels)})
    model = network()
    draws = model.draw(bare, torch.Generator().manual_seed(0))
    losses = model.losses(model(bare, draws), bare)
    assert not draws.mask.any()
    assert losses["pred"] == 0
    assert losses["obj"] > 0


@pytest.mark.parametrize("expectation", ["nwgm", "exact"])
def test_the_dictionary_learns_after_the_pass_from_labelled_pairs_only(expectation):
    model, batch = network(expectation=expectation).train(), segment(4)
    before = model.prototypes.clone()
    output = model(batch, model.draw(batch, torch.Generator().manual_seed(0)))
    losses = model.losses(output, batch)
    model.remember(output, batch)
    losses["total"].backward()  # the pass saved the dictionary as it was
    x = model.encode(batch, torch.tensor([[0, 11]]))[1][0]
    torch.testing.assert_close(model.prototypes[[0, 2]], 0.9 * before[[0, 2]] + 0.1 * x[0])
    torch.testing.assert_close(model.prototypes[1], 0.9 * before[1] + 0.1 * x[1])
    assert torch.equal(model.prototypes[3:], before[3:])
    assert model.prototype_count.tolist() == [9, 5, 3, 1, 0]


def test_rebuilt_prototypes_are_the_mean_over_all_training_pairs():
    model = network(maintenance="epoch").eval()
    parts = [segment(3, seed=1), segment(4, seed=2), segment(3, seed=3)]
    model.remember(model(parts[0]), parts[0])
    assert model.prototype_count.tolist() == [8, 4, 2, 1, 0]  # not in between
    with torch.no_grad():
        firsts = torch.stack([model.encode(part, torch.tensor([[0]]))[1][0, 0] for part in parts])
    model.settle(iter([together(*parts[:2]), parts[2]]))
    torch.testing.assert_close(model.prototypes[2], firsts.mean(dim=0))
    assert model.prototype_count.tolist() == [3, 3, 3, 0, 0]


def test_without_intervention_there_is_no_dictionary():
    model, batch = network(prior="none").train(), segment(3)
    before = model.prototypes.clone()
    output = model(batch, model.draw(batch, torch.Generator().manual_seed(0)))
    model.remember(output, batch)
    assert torch.equal(model.prototypes, before)
    model.losses(output, batch)["total"].backward()
    assert model.inter.head_z.weight.grad is None


def test_state_keys():
    heads = {key.split(".")[0] for key in network().state_dict()}
    assert heads == {"traj", "obj_head", "pair", "inter", "prototypes", "prototype_count"}
    keys = {key.rsplit(".", 1)[0] for key in network().state_dict()}
    assert {"traj.app", "traj.box", "pair.proj", "inter.q", "inter.k", "inter.head_x", "inter.head_z"} <= keys


def test_every_weight_learns():
    model, batch = network().train(), together(segment(3), segment(4))
    model.losses(model(batch, model.draw(batch, torch.Generator().manual_seed(0))), batch)["total"].backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


@pytest.mark.parametrize(("changed", "message"), [({"momentum": 1.0}, "momentum"), ({"classes": 0}, "classes")])
def test_settings_that_make_no_sense_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        network(**changed)


def test_padding_of_the_example_is_rubbish():
    assert together(segment(2), segment(3)).detector.shape == (2, 3, CLASSES)


@pytest.mark.parametrize("expectation", ["nwgm", "exact"])
def test_half_precision_gives_losses_near_those_of_full(expectation):
    model, batch = network(expectation=expectation).eval(), segment(4)
    whole = model.losses(model(batch), batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(batch)
    half = model.losses(output, batch)
    model.remember(output, batch)
    assert half["total"].dtype == torch.float32
    assert half["total"].item() == pytest.approx(whole["total"].item(), rel=0.05)
    assert model.prototypes.dtype == torch.float32
