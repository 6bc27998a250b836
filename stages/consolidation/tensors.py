"""Published `.pt` files: a bare tensor, recognised by its pickle program as text, or read by torch.load(weights_only=True).

A `.pt` file is a zip with the program `<name>/data.pkl` and the raw storage `<name>/data/0`. The program that rebuilds a bare
tensor always has the same form; `tensor_layout` matches it as bytes and takes the numbers out. Nothing is executed, and torch is
imported only for the files that do not match.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.consolidation.faults import FaultError

LARGEST_TENSOR = 1 << 30  # bytes, unpacked
STORAGES = {b"HalfStorage": "float16", b"FloatStorage": "float32", b"DoubleStorage": "float64"}
_INT = rb"(K.|M..|J....)"  # 1, 2 and 4 byte integers
_BARE_TENSOR = re.compile(
    rb"\x80\x02ctorch\._utils\n_rebuild_tensor_v2\nq.\(\(X\x07\0\0\0storageq."
    rb"ctorch\n(\w+Storage)\nq.X.\0\0\0(\d+)q.X.\0\0\0(?:cpu|cuda:\d+)q." + _INT + rb"tq.Q"  # type, record, device, numel
    + _INT + _INT + _INT + rb"\x86q." + _INT + _INT + rb"\x86q."  # offset; shape; strides
    + rb"[\x88\x89]ccollections\nOrderedDict\nq.\)Rq.tq.Rq.\.",  # requires_grad, no hooks
    re.DOTALL,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TensorLayout:
    """A contiguous matrix inside a storage: `storage` elements in all, the matrix begins at element `offset`."""

    dtype: str
    record: str
    storage: int
    offset: int
    shape: tuple[int, int]


def tensor_layout(program: bytes) -> TensorLayout | None:
    """What a pickle program that rebuilds a bare contiguous matrix says about it; None for every other program."""
    match = _BARE_TENSOR.fullmatch(program)
    if match is None or match[1] not in STORAGES:
        return None
    storage, offset, rows, width, row_stride, column_stride = (
        int.from_bytes(match[group][1:], "little") for group in range(3, 9)
    )
    if (row_stride, column_stride) != (width, 1):
        return None
    return TensorLayout(STORAGES[match[1]], match[2].decode(), storage, offset, (rows, width))


def load_tensor(content: bytes) -> tuple[NDArray[Any], str]:
    """(array, published dtype) of a file that is one tensor; bfloat16, which NumPy lacks, comes as the equal float32.

    Raises FaultError: not a torch file; anything else than a dense floating-point tensor in it.
    """
    import torch  # only files of unusual form pay for this import

    from stages.features.torch_files import load_restricted

    try:
        _check_zip(content)
    except FaultError:
        raise
    except Exception as error:  # zipfile has many ways to say "broken"
        raise FaultError("unreadable", f"a damaged zip ({type(error).__name__}: {str(error)[:80]})") from None
    try:
        loaded = load_restricted(content)
    except pickle.UnpicklingError:
        raise FaultError("not an array", "holds objects that only unpickling could make, or no torch data at all") from None
    except Exception as error:  # a damaged file can fail anywhere inside the reader
        raise FaultError("unreadable", f"torch cannot read it ({type(error).__name__}: {str(error)[:80]})") from None
    if not isinstance(loaded, torch.Tensor):
        keys = f" with {', '.join(map(repr, list(loaded)[:5]))}" if isinstance(loaded, dict) else ""
        raise FaultError("not an array", f"holds a {type(loaded).__name__}{keys}, expected one tensor")
    if loaded.layout != torch.strided or loaded.is_quantized or loaded.is_meta:
        raise FaultError("not an array", f"holds a {loaded.layout} tensor, expected a dense one")
    dtype = str(loaded.dtype).removeprefix("torch.")
    if not loaded.dtype.is_floating_point or loaded.element_size() < 2:
        raise FaultError("dtype", f"{dtype}, expected float16, bfloat16, float32 or float64")
    loaded = loaded.detach().resolve_neg()
    return np.ascontiguousarray((loaded.float() if dtype == "bfloat16" else loaded).numpy()), dtype


def _check_zip(content: bytes) -> None:
    """Sizes and checksums of the members, if it is a zip: torch itself does not look."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if (total := sum(member.file_size for member in archive.infolist())) > LARGEST_TENSOR:
                raise FaultError("too large", f"{total} bytes unpacked")
            if any(member.CRC for member in archive.infolist()) and (damaged := archive.testzip()):
                raise FaultError("damaged", f"the checksum of {damaged!r} differs")
