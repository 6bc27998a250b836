"""Feature files, archives of them, word vectors, and feature stores."""

from __future__ import annotations

import gzip
import io
import pickle
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import google_crc32c
import h5py
import numpy as np

from stages.consolidation import archives, arrays, hdf5
from stages.consolidation.faults import Fault, FaultError
from stages.features import pickled, word_vectors
from stages.features.store import FeatureStore, StoreError
from tests.faults.mutations import Seed
from tests.faults.parser import ROWS, WORDS, Parser
from tests.stages import tiny
from tests.stages.consolidation.publishing import npy, npz, pt, tar, zipped


def _rows_of_file(form: str, path: Path) -> None:
    content = path.read_bytes()
    window = arrays.Content(content)
    array = arrays.locate(window, form, "features")
    if array.whole:
        arrays.load_whole(content, form, "features")
    else:
        arrays.rows_of(array, window.read(array.start, array.packed))


def _members(path: Path) -> None:
    for member in archives.Archive([path]).members():
        if not isinstance(member, Fault):
            member.read()


def _hdf5(key: str | None, path: Path) -> None:
    found = {name: array for name, array in hdf5.located(path, key) if isinstance(array, arrays.Array)}
    for _ in hdf5.rows(path, key, found.items(), "float16"):
        pass


def _hdf5_file(*, grouped: bool, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest") as file:
        for name in ("AO8RW", "Y6R7T"):
            (file.create_group(name) if grouped else file).create_dataset("rows" if grouped else name, data=ROWS, **options)
    return buffer.getvalue()


def _word_vectors(form: word_vectors.Form, path: Path) -> None:
    word_vectors.word_vectors(form, path, WORDS, width=3)


def _glove_pickle(protocol: int, *, arrays_in: bool = False) -> bytes:
    vectors: Any = np.arange(6, dtype=np.float32).reshape(2, 3)
    return pickle.dumps({"w2id": {"dog": 0, "runs": 1}, "id2vec": vectors if arrays_in else vectors.tolist()}, protocol=protocol)


def _word2vec() -> bytes:
    return b"2 3\n" + b"".join(word.encode() + b" " + np.arange(3, dtype="<f4").tobytes() + b"\n" for word in WORDS)


FEATURES = [
    Parser(
        name="x.npy",
        seeds=[Seed(npy(ROWS)), Seed(npy(np.asfortranarray(ROWS)))],
        read=partial(_rows_of_file, "npy"),
        errors=(FaultError,),
    ),
    Parser(
        name="x.npz",
        seeds=[
            Seed(npz(ROWS)),
            Seed(npz(ROWS, compressed=True)),
            *(Seed(npy(ROWS), wrap=lambda one, z=z: zipped({"features.npy": one}, z)) for z in (0, 8)),
        ],
        read=partial(_rows_of_file, "npz"),
        errors=(FaultError,),
    ),
    Parser(
        name="x.pt",
        seeds=[Seed(pt(ROWS)), Seed(pt(ROWS, _use_new_zipfile_serialization=False))],
        read=partial(_rows_of_file, "pt"),
        errors=(FaultError,),
    ),
    Parser(
        name="flat.h5",
        seeds=[Seed(_hdf5_file(grouped=False)), Seed(_hdf5_file(grouped=False, chunks=(2, 4), compression="gzip"))],
        read=partial(_hdf5, None),
        errors=(FaultError,),
    ),
    Parser(name="grouped.h5", seeds=[Seed(_hdf5_file(grouped=True))], read=partial(_hdf5, "rows"), errors=(FaultError,)),
    Parser(name="x.zip", seeds=[Seed(zipped({"a/b.npz": npz(ROWS), "c.npz": b"x" * 3000}))], read=_members, errors=(FaultError,)),
    Parser(name="x.tar", seeds=[Seed(tar({"a/b.npz": npz(ROWS), "c" * 150: b"x" * 3000}))], read=_members, errors=(FaultError,)),
    Parser(
        name="x.tar.gz",
        seeds=[
            Seed(tar({"a.npz": npz(ROWS), "c" * 150: b"x"}), wrap=partial(gzip.compress, mtime=0)),
            Seed(tar({"a": b"x"}, "w:gz")),
        ],
        read=_members,
        errors=(FaultError,),
    ),
    Parser(
        name="glove.pkl",
        seeds=[Seed(_glove_pickle(protocol, arrays_in=one)) for protocol in (0, 2, 4, 5) for one in (False, True)],
        read=partial(_word_vectors, "pickle"),
        errors=(word_vectors.WordVectorError,),
    ),
    Parser(
        name="plain.pkl",
        seeds=[Seed(pickle.dumps({"a": [1, (2.0, 3), b"x"], 5: {"n": None}}, protocol)) for protocol in range(6)],
        read=pickled.read_pickled,
        errors=(pickled.PickledError,),
    ),
    Parser(
        name="glove.txt",
        seeds=[Seed(b"dog 1 2 3\nruns 4 5e-1 6\n")],
        read=partial(_word_vectors, "text"),
        errors=(word_vectors.WordVectorError,),
    ),
    Parser(
        name="glove.txt.gz",
        seeds=[
            Seed(b"dog 1 2 3\nruns 4 5e-1 6\n", wrap=partial(gzip.compress, mtime=0)),
            Seed(gzip.compress(b"dog 1 2 3\n", mtime=0)),
        ],
        read=partial(_word_vectors, "text"),
        errors=(word_vectors.WordVectorError,),
    ),
    Parser(
        name="w2v.bin", seeds=[Seed(_word2vec())], read=partial(_word_vectors, "binary"), errors=(word_vectors.WordVectorError,)
    ),
]


def _store() -> Mapping[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        tiny.write_store(Path(folder), "clip", {"AO8RW": ROWS, "Y6R7T": ROWS[:3]})
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def _with_checksum(data: bytes) -> bytes:
    return data + google_crc32c.value(data).to_bytes(4, "little")


def _read_store(depth: int, path: Path) -> None:
    store = FeatureStore.open(path.parents[depth])
    store.batch(store.ids)


STORE = _store()
STORES = [
    Parser(
        name=name,
        seeds=[Seed(STORE[name], "json" if name.endswith(".json") else "bytes")]
        + [Seed(STORE[name][:-4], wrap=_with_checksum)] * (name.endswith("/0")),
        read=partial(_read_store, name.count("/") - 1),
        errors=(StoreError,),
        beside={other: content for other, content in STORE.items() if other != name},
    )
    for name in sorted(STORE)
]
