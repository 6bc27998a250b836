import torch

from stages.training.seeding import derived, generator, seed_step

CPU = torch.device("cpu")


def test_the_same_place_draws_the_same_and_another_place_something_else():
    first = seed_step(5, CPU, 10, 0, 0)
    one, noise = torch.rand(3, generator=first), torch.rand(3)
    again = seed_step(5, CPU, 10, 0, 0)
    assert torch.equal(one, torch.rand(3, generator=again))
    assert torch.equal(noise, torch.rand(3))
    for place in ((11, 0, 0), (10, 1, 0), (10, 0, 1)):
        assert not torch.equal(one, torch.rand(3, generator=seed_step(5, CPU, *place)))
        assert not torch.equal(noise, torch.rand(3))


def test_purposes_do_not_share_their_draws():
    assert len({derived(1, purpose, 0) for purpose in ("order", "draw", "dropout", "weights")}) == 4
    assert not torch.equal(torch.rand(2, generator=generator(1, "order", 0)), torch.rand(2, generator=generator(1, "draw", 0)))
