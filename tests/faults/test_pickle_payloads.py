"""A pickle that would run a program: packed into every format that can carry one, refused by every reader, and never run."""

from __future__ import annotations

import io
import pickle
import time
import zipfile

import h5py
import numpy as np
import pytest
import torch

from tests.faults.guard import Guard
from tests.faults.parsers import PARSERS
from tests.stages.consolidation.publishing import zipped


def opcodes(canary):
    """Programs that make a file in every way that the pickle machine knows to call something."""
    text = _text(f"touch {canary}")
    return {
        "reduce": b"cos\nsystem\n(" + text + b"tR.",
        "stack_global": b"\x80\x04\x8c\x05posix\x8c\x06system\x93(" + text + b"tR.",
        "inst": b"(" + text + b"ios\nsystem\n.",
        "obj": b"(cos\nsystem\n" + text + b"o.",
        "newobj": b"\x80\x02csubprocess\nPopen\n((X\x02\x00\x00\x00shX\x02\x00\x00\x00-c" + text + b"lt\x81.",
        "newobj_ex": b"\x80\x04csubprocess\nPopen\n((X\x02\x00\x00\x00shX\x02\x00\x00\x00-c" + text + b"lt}\x92.",
        "eval": b"cbuiltins\neval\n(" + _text(f"__import__('os').system('touch {canary}')") + b"tR.",
        "build": b"cos\nsystem\n" + text + b"b.",
        "inside": b"\x80\x02]q\x00(K\x01cos\nsystem\n(" + text + b"tRe.",
        "dictionary": b"}(X\x04\x00\x00\x00w2idcos\nsystem\n(" + text + b"tRu.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent": b"Phttp://127.0.0.1:9/x\n.",
    }


def _text(text):
    return b"X" + len(text.encode()).to_bytes(4, "little") + text.encode()


KINDS = list(opcodes("x"))


def npy_of(program):
    """An object array: a header, then the pickle of its elements."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|O", "fortran_order": False, "shape": (1, 4)})
    return buffer.getvalue() + program


def torch_zip(program):
    return zipped({"archive/data.pkl": program, "archive/version": b"3\n", "archive/byteorder": b"little"}, zipfile.ZIP_STORED)


def torch_legacy(program):
    buffer = io.BytesIO()
    torch.save(torch.zeros(2, 2), buffer, _use_new_zipfile_serialization=False)
    head = buffer.getvalue()
    at = head.index(b"ctorch._utils") - 2
    return head[:at] + program + pickle.dumps([], protocol=2)


CARRIERS = {
    "x.npy": npy_of,
    "x.npz": lambda program: zipped({"features.npy": npy_of(program)}, zipfile.ZIP_STORED),
    "x.npz, packed": lambda program: zipped({"features.npy": npy_of(program)}),
    "x.pt": torch_zip,
    "x.pt, legacy": torch_legacy,
    "x.pt, bare": bytes,
    "x.npz, bare": bytes,
    "x.npy, bare": bytes,
    "plain.pkl": bytes,
    "glove.pkl": bytes,
    "epoch_9.pth": torch_zip,
    "epoch_9.pth, legacy": torch_legacy,
    "epoch_9.pth, bare": bytes,
    "w.safetensors": bytes,
    "own.npy": npy_of,
    "own.npz": lambda program: zipped({"features.npy": npy_of(program)}),
    "own.pt": torch_zip,
    "own.pt, legacy": torch_legacy,
    "dictionary.npz": lambda program: zipped({"mean_pool_c.npy": npy_of(program)}),
    "dictionary.npz, bare": bytes,
    "graphs.npz": lambda program: zipped({"k_center.npy": npy_of(program)}),
    "vocabulary.npz": lambda program: zipped({f"{name}.npy": npy_of(program) for name in ("words", "counts", "vectors")}),
    "described.npz": lambda program: zipped({"mean_pool_c.npy": npy_of(program)}),
    "flat.h5": lambda program: hdf5_of(program),
    "clip.zarr/ids/c/0": bytes,
}


def hdf5_of(program):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["AO8RW"] = np.void(program)
        file["AO8RW"].attrs["pickle"] = np.void(program)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_pickle_that_calls_something_is_refused_and_not_run(carrier, kind, tmp_path):
    canary = tmp_path / "canary"
    parser = PARSERS[carrier.partition(",")[0]]
    for other, content in parser.beside.items():
        (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / other).write_bytes(content)
    path = tmp_path / parser.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CARRIERS[carrier](opcodes(canary)[kind]))
    refused = Guard(tmp_path).run(lambda: parser.read(path), allowed=parser.errors)
    assert not canary.exists()
    # an HDF5 reader names the item that is no array and goes on with the others
    assert refused is not None or carrier == "flat.h5"


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind not in ("build", "extension", "persistent", "newobj", "newobj_ex")]
)
def test_the_payload_does_run_where_somebody_unpickles(kind, tmp_path):
    canary = tmp_path / "canary"
    pickle.loads(opcodes(canary)[kind])
    until = time.monotonic() + 20
    while not canary.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert canary.exists()
