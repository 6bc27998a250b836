"""Segments with a few moving boxes, for tests of methods that detect relations."""

from itertools import permutations

import torch
from torch.nn.functional import pad

from models.batch import Relations
from models.methods import ivrd

STEPS, APPEARANCE, CLASSES, PREDICATES = 4, 6, 3, 5


def config(**changed):
    settings = {
        "classes": CLASSES, "predicates": PREDICATES, "d_step": 8, "hidden": 4, "d_pair": 8, "dropout": 0.0, "prior": "uniform",
        "expectation": "nwgm", "maintenance": "running", "momentum": 0.9, "normalised": False, "w_pred": 1.0, "negatives": 3,
        "pairs": 128, "object_scores": "average",
    }  # fmt: skip
    return ivrd.Config(**{**settings, **changed})


def network(seed=0, **changed):
    """Fresh weights; prototypes of all predicates but the last, which was never seen."""
    torch.manual_seed(seed)
    model = ivrd.Model(config(**changed), widths={"video": APPEARANCE}, confounders={})
    model.prototypes.copy_(torch.randn(PREDICATES, 8))
    model.prototypes[-1] = 0
    model.prototype_count.copy_(torch.tensor([8.0, 4, 2, 1, 0]))
    return model


def segment(proposals, seed=0, steps=STEPS):
    """One segment of `proposals` trajectories; the first pair has two predicates, the last one."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.rand(shape, generator=generator)

    corner = 100 * draw(proposals, steps, 2)
    present = draw(proposals, steps) > 0.3
    present[:, 0] = True
    pairs = torch.tensor(list(permutations(range(proposals), 2)))
    labels = torch.zeros(len(pairs), PREDICATES, dtype=torch.bool)
    labels[0, [0, 2]] = labels[-1, 1] = True
    return Relations(
        appearance=draw(1, proposals, steps, APPEARANCE) * present[None, ..., None],
        boxes=torch.cat((corner, corner + 5 + 40 * draw(proposals, steps, 2)), dim=-1)[None],
        present=present[None],
        proposals_mask=torch.ones(1, proposals, dtype=torch.bool),
        frame=torch.tensor([[320.0, 240.0]]),
        detector=draw(1, proposals, CLASSES).softmax(dim=-1),
        pairs=pairs[None],
        pairs_mask=torch.ones(1, len(pairs), dtype=torch.bool),
        object_class=torch.randint(-1, CLASSES, (1, proposals), generator=generator),
        labels=labels[None],
    )


def together(*segments, spare=0):
    """The segments as one batch, padded to the longest and `spare` beyond; padding holds rubbish where it may."""
    proposals = max(one.present.shape[1] for one in segments) + spare
    pairs = max(one.pairs.shape[1] for one in segments) + spare

    def padded(name, length, value=0.0):
        parts = []
        for one in segments:
            tensor = getattr(one, name)
            missing = length - tensor.shape[1]
            parts.append(pad(tensor, (0, 0) * (tensor.ndim - 2) + (0, missing), value=value))
        return torch.cat(parts)

    return Relations(
        appearance=padded("appearance", proposals, 7.0),
        boxes=padded("boxes", proposals, 3.0),
        present=padded("present", proposals, False),
        proposals_mask=padded("proposals_mask", proposals, False),
        frame=torch.cat([one.frame for one in segments]),
        detector=padded("detector", proposals),
        pairs=padded("pairs", pairs, 0),
        pairs_mask=padded("pairs_mask", pairs, False),
        object_class=padded("object_class", proposals, -1),
        labels=padded("labels", pairs, False),
    )
