"""The dictionary of prototypes and the intervention over it: numbers on paper, and what must not matter."""

import pytest
import torch

from models.causal.prototypes import Intervention, label_sums, mean_cosine, prior_weights, running_mean

X = torch.tensor([[1.0, 0, 2, -1], [0, 1, 0, 1]])
Z = torch.tensor([[1.0, 0, 0, 0], [0, 1, 1, 0], [0, 0, -1, 1]])
UNIFORM, SKEWED = torch.ones(3), torch.tensor([7.0, 2, 1])


def head(expectation="nwgm", classes=3):
    block = Intervention(d_model=4, classes=classes, expectation=expectation)
    with torch.no_grad():
        block.q.weight.copy_(torch.eye(4))
        block.k.weight.copy_(torch.eye(4))
        block.head_x.weight.copy_(torch.tensor([[0.5, 0, 0.25, 0], [0, 0.5, 0, -0.5], [0.25, 0.25, 0, 1]]))
        block.head_x.bias.copy_(torch.tensor([0.1, -0.2, 0]))
        block.head_z.weight.copy_(torch.tensor([[1, 0, 0, 0.5], [0, 1, -1, 0], [0, 0, 0.5, 1]]))
    return block


def probabilities(block, count, prior="frequency"):
    found = block(X, Z, count, prior)
    return found if block.expectation == "exact" else found.sigmoid()


def test_attention_of_the_example():
    expected = [[0.359188, 0.592201, 0.048611], [0.232697, 0.383652, 0.383652]]
    torch.testing.assert_close(head().attention(X, Z, UNIFORM > 0), torch.tensor(expected), atol=6e-7, rtol=0)


@pytest.mark.parametrize(
    ("count", "expectation", "expected"),
    [
        (UNIFORM, "nwgm", [[0.815100, 0.586281, 0.394223], [0.628205, 0.545784, 0.836669]]),
        (UNIFORM, "exact", [[0.804049, 0.586178, 0.397418], [0.625758, 0.540546, 0.833248]]),
        (SKEWED, "nwgm", [[0.865482, 0.578004, 0.362380], [0.656156, 0.478787, 0.805752]]),
        (SKEWED, "exact", [[0.855171, 0.577963, 0.365170], [0.653965, 0.477280, 0.802477]]),
    ],
)
def test_predicates_of_the_example(count, expectation, expected):
    torch.testing.assert_close(probabilities(head(expectation), count), torch.tensor(expected), atol=6e-7, rtol=0)


def test_a_uniform_prior_does_not_ask_how_often_a_class_was_seen():
    once, often = (head()(X, Z, count, "uniform") for count in (UNIFORM, SKEWED))
    torch.testing.assert_close(once, often, atol=0, rtol=0)


@pytest.mark.parametrize("expectation", ["nwgm", "exact"])
def test_a_class_that_was_never_seen_is_as_if_it_were_not_there(expectation):
    block = head(expectation)
    count = torch.tensor([3.0, 0, 1])
    found = block(X, Z, count, "frequency")
    torch.testing.assert_close(found, block(X, Z[[0, 2]], count[[0, 2]], "frequency"))


@pytest.mark.parametrize("expectation", ["nwgm", "exact"])
def test_without_any_class_seen_only_the_pair_speaks(expectation):
    block = head(expectation)
    torch.testing.assert_close(block(X, Z, torch.zeros(3), "uniform"), block(X, Z, UNIFORM, "none"))


@pytest.mark.parametrize("expectation", ["nwgm", "exact"])
def test_the_order_of_the_dictionary_is_irrelevant(expectation):
    order, block = torch.tensor([2, 0, 1]), head(expectation)
    torch.testing.assert_close(block(X, Z[order], SKEWED[order], "frequency"), block(X, Z, SKEWED, "frequency"))


def test_a_prior_is_over_what_was_seen():
    count = torch.tensor([6.0, 0, 2])
    assert prior_weights(count, "uniform").tolist() == [0.5, 0, 0.5]
    assert prior_weights(count, "frequency").tolist() == [0.75, 0, 0.25]
    assert prior_weights(count, "none").tolist() == [0, 0, 0]
    assert prior_weights(torch.zeros(3), "frequency").tolist() == [0, 0, 0]


def test_running_mean_of_the_example():
    labels = torch.tensor([[True, False, True], [False, False, True]])
    prototypes, count = torch.zeros(3, 4), torch.zeros(3)
    for x in (X, 2 * X):
        sums, hits = label_sums(x, labels)
        prototypes, count = running_mean(prototypes, count, sums, hits, momentum=0.9), count + hits
    assert count.tolist() == [2, 0, 4]
    torch.testing.assert_close(prototypes, torch.tensor([[1.1, 0, 2.2, -1.1], [0, 0, 0, 0], [0.55, 0.55, 1.1, 0]]))


def test_prototypes_that_point_the_same_way_have_cosine_one():
    assert mean_cosine(torch.tensor([[1.0, 0], [3, 0], [0, 1]]), torch.tensor([1.0, 2, 0])) == pytest.approx(1)
    assert mean_cosine(torch.eye(3), torch.ones(3)) == pytest.approx(0)
    assert mean_cosine(torch.eye(3), torch.tensor([1.0, 0, 0])) == 0
