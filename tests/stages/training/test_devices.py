import pytest
import torch

from stages.training.devices import device_of
from stages.training.runs import RunError

GPU = torch.cuda.is_available()


def test_a_gpu_is_taken_where_there_is_one():
    assert device_of("auto").type == ("cuda" if GPU else "cpu")
    assert device_of("cpu").type == "cpu"


@pytest.mark.skipif(GPU, reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_with_what_to_do():
    with pytest.raises(RunError, match=r"stages\.doctor says why.*take auto or cpu"):
        device_of("cuda")
