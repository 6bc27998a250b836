"""Front door with an attended mediator."""

from __future__ import annotations

import torch

from models.causal.mediated_front_door import MediatedFrontDoor


def block(over: str) -> MediatedFrontDoor:
    torch.manual_seed(0)
    return MediatedFrontDoor(torch.randn(7, 5), d_model=8, d_inner=4, over=over)  # type: ignore[arg-type]


def given() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    rows = {name: torch.randn(3, 8, generator=random) for name in ("mediator", "whole")}
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2, [True] + [False] * 5])
    return rows | {"frames": torch.randn(3, 6, 8, generator=random), "mask": mask}


def test_frames_keep_samples_apart_and_the_batch_mixes_them():
    for over, apart in (("frames", True), ("batch", False)):
        one, rows = block(over), given()
        alone = one(**{name: value[:1] for name, value in rows.items()})
        assert torch.allclose(one(**rows)[:1], alone, atol=1e-6) == apart


def test_frames_that_are_not_real_change_nothing():
    one, rows = block("frames"), given()
    foreign = torch.where(rows["mask"][..., None], rows["frames"], 9.0)
    torch.testing.assert_close(one(**rows), one(**rows | {"frames": foreign}))


def test_single_frame_is_what_the_mediator_sees():
    one, rows = block("frames"), given()
    seen = one.from_mediator(one.video(rows["frames"][2, :1]))
    expected = one.from_entries(one.attend(one.video(rows["whole"][2:]), one.entry(one.dictionary), None))
    torch.testing.assert_close(one(**rows)[2:], one.join(torch.cat((seen, expected), dim=-1)))


def test_order_of_the_dictionary_is_irrelevant():
    one, other = block("frames"), block("frames")
    with torch.no_grad():
        other.dictionary.copy_(other.dictionary.roll(3, 0))
    torch.testing.assert_close(one(**given()), other(**given()))
