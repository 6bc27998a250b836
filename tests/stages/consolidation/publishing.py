"""Published feature files for tests: made here, byte by byte as their authors' tools would."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch


def rows(length, width=4, seed=0, dtype=np.float16):
    """(length, width) random rows."""
    return np.random.default_rng(seed + 100 * length).standard_normal((length, width)).astype(dtype)


def npz(array, key="features", *, compressed=False, **more):
    """The bytes of an npz file."""
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **{**more, key: array})
    return buffer.getvalue()


def npy(array):
    """The bytes of an npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def pt(value, **options):
    """The bytes of a `.pt` file; a NumPy array becomes a tensor."""
    buffer = io.BytesIO()
    torch.save(torch.from_numpy(value) if isinstance(value, np.ndarray) else value, buffer, **options)
    return buffer.getvalue()


FORMS: dict[str, Callable[[Any], bytes]] = {"npz": npz, "npy": npy, "pt": pt}


def in_folder(folder, files):
    """Write name -> bytes below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def tar(files, mode="w"):
    """The bytes of a tar archive (mode "w:gz": compressed)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files, compression=zipfile.ZIP_DEFLATED):
    """The bytes of a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()
