import pytest

from tests.stages.training.toy import settings


def test_every_complaint_about_the_numbers_comes_at_once():
    with pytest.raises(ValueError, match=r"lr is -1.0, must be above 0; .*batch_size is 0, must be at least 1"):
        settings(batch_size=0, lr=-1.0)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"accumulate": 3}, "accumulate 3 must divide batch_size 8"),
        ({"steps": (3, 2), "schedule": "step"}, r"steps are \(3, 2\), must be rising"),
        ({"steps": (3,)}, "belong to schedule step, not to cosine"),
        ({"final_ratio": 0.1, "schedule": "step"}, "does nothing under schedule step"),
        ({"schedule": "inverse_sqrt", "warmup_steps": 0}, "inverse_sqrt needs warmup_steps"),
        ({"schedule": "plateau"}, "plateau needs a metric to watch"),
        ({"betas": (0.9,)}, "must be two numbers"),
        ({"clip_norm": 0.0}, "clip_norm is 0.0, must be above 0 or null"),
        ({"lr_scales": {"encoder": -1.0}}, "must not be negative"),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        settings(**changes)
