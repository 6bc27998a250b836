"""Several stores fused into what a method is fed, batch by batch.

    x_t = concat_s( float32(f_s,t) / (|f_s,t| + 1e-5) ),   t = 0..T-1, T the shortest of the stores     (methods/causalvtg.md, 2)

One of three homes, whichever the byte budget allows, with identical values:

    fused       rows normalised and concatenated once, float32; a batch is one gather, padding one row of zeros
    published   rows as stored (half the size for float16), normalised batch by batch
    mapped      nothing resident: the chunk files are mapped and normalised batch by batch

B batch, T rows, D channels of all stores, M rows of all items.  Masks: True = real, False = padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.features.store import FeatureStore, StoreError

EPSILON = 1e-5
FINISH_ROWS = 128
BUILD_BYTES = 8_000_000  # rows converted at a time while a table is built
BUFFERS = 2  # a batch stays valid until the second call of `batch` after it


class Fused:
    """Stores of the same items as one: `lengths` and `batch` by id, or by position in `ids`.

    Returned batches live in reused buffers: they are overwritten by the second call of `batch` after theirs.
    Pickling (spawned workers) sends paths, not rows: the receiving process has the mapped form, on the CPU.

    stores         in the order of concatenation
    normalise      divide every row of every store by its L2 norm + 1e-5
    budget_bytes   of RAM, or of GPU memory where `device` is one, that resident rows may take
    ids            the items that will be asked for; others are not kept

    Raises StoreError: an id that a store lacks; a row with NaN or Inf (names store, id and row).
    """

    def __init__(
        self,
        stores: Sequence[FeatureStore],
        *,
        normalise: bool,
        budget_bytes: int,
        device: torch.device | str = "cpu",
        ids: Sequence[str],
    ) -> None:
        if not stores or not ids:
            raise StoreError("expected at least one store and one id to fuse")
        self.stores, self.normalise, self.device = tuple(stores), normalise, torch.device(device)
        self.ids = list(dict.fromkeys(ids))
        self.width = sum(store.info.width for store in stores)
        self._position = {item: position for position, item in enumerate(self.ids)}
        positions = [store.index(self.ids) for store in self.stores]
        lengths = [store.offsets[at + 1] - store.offsets[at] for store, at in zip(self.stores, positions, strict=True)]
        self._lengths: NDArray[np.int64] = np.minimum.reduce(lengths)
        self.starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum(self._lengths)])  # (V+1,) of the fused rows
        self._first = [store.offsets[at] for store, at in zip(self.stores, positions, strict=True)]
        self._scales = [self._scale(number) for number in range(len(self.stores))]  # (M+1,) each
        self._buffers: list[Tensor] = [torch.empty(0, device=self.device)] * BUFFERS
        self._turn = 0
        self._scratch: dict[tuple[int, torch.dtype, str], Tensor] = {}
        self._tables: list[Tensor] = []
        self.residence = self._choose(budget_bytes)
        if self.residence == "fused":
            self._tables = [self._fused_table()]
        elif self.residence == "published":
            self._tables = [self._published_table(number) for number in range(len(self.stores))]
        if self.residence != "mapped":
            for store in self.stores:
                store.unmap()
        if self.residence != "fused":
            self._scales = [scale.to(self.device) for scale in self._scales]
        self._starts = torch.from_numpy(self.starts).to(self.device)
        self._lengths_there = torch.from_numpy(self._lengths).to(self.device)

    def __reduce__(self) -> tuple[Any, ...]:
        return _mapped, (self.stores, self.normalise, self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def rows(self) -> int:
        """M: rows of all items."""
        return int(self.starts[-1])

    @property
    def resident_bytes(self) -> int:
        """What the tables take; 0 for the mapped form."""
        return sum(table.numel() * table.element_size() for table in self._tables)

    def positions(self, ids: Sequence[str] | Sequence[int] | NDArray[Any] | Tensor) -> NDArray[np.int64]:
        """Positions in `self.ids`. Raises StoreError for an id that was not given at construction."""
        if isinstance(ids, Tensor):
            return ids.cpu().numpy().astype(np.int64, copy=False)
        if len(ids) and isinstance(ids[0], str):
            try:
                return np.fromiter((self._position[str(item)] for item in ids), np.int64, len(ids))
            except KeyError as error:
                raise StoreError(f"{self._names()}: id {error.args[0]!r} was not among the {len(self.ids)} ids fused") from None
        return np.asarray(ids, np.int64)

    def lengths(self, ids: Sequence[str] | Sequence[int] | NDArray[Any] | Tensor) -> NDArray[np.int64]:
        """(B,) rows of each item: those of the shortest store."""
        return self._lengths[self.positions(ids)]

    def batch(self, ids: Sequence[str] | Sequence[int] | NDArray[Any] | Tensor, *, multiple: int = 1) -> tuple[Tensor, Tensor]:
        """(B, T, D) float32 zero padded and (B, T) bool mask on `device`.

        T is the longest of the batch, rounded up to a multiple of `multiple` (padding here costs no second copy).
        """
        positions = self.positions(ids)
        if self.residence == "mapped":
            self._read_ahead(positions)
        longest = _rounded_up(int(self._lengths[positions].max(initial=0)), multiple)
        # memory for the longest item of all, of which only what is written becomes real: enlarging it piece by piece, each time
        # that a longer item comes by, would leave holes
        room = len(positions) * _rounded_up(int(self._lengths.max()), multiple)
        there = self._send(positions)
        steps = torch.arange(longest, device=self.device)
        mask = steps < self._lengths_there[there, None]  # (B, T)
        index = torch.where(mask, self._starts[there, None] + steps, self.rows).view(-1)  # (B*T,): the last row is the padding
        values = self._buffer(len(positions) * longest, room)
        if self.residence == "fused":
            torch.index_select(self._tables[0], 0, index, out=values)
        else:
            column = 0
            for number, store in enumerate(self.stores):
                if self.residence == "published":
                    rows = self._scratched(number, len(index), room, self._tables[number].dtype)
                    torch.index_select(self._tables[number], 0, index, out=rows)
                else:
                    rows = self._from_maps(number, positions, longest, room)
                part = values[:, column : column + store.info.width]
                _finish(rows, self._scales[number][index], part)
                column += store.info.width
        return values.view(len(positions), longest, self.width), mask

    def take(self, rows: Tensor) -> Tensor:
        """Single rows by their number among all `rows`, (...) int64 -> (..., D) float32 in memory of their own."""
        number = rows.flatten().to(self.device)
        if self.residence == "fused":
            return self._tables[0].index_select(0, number).view(*rows.shape, self.width)
        out = torch.empty(len(number), self.width, device=self.device)
        column = 0
        for which, store in enumerate(self.stores):
            there = self._tables[which][number] if self.residence == "published" else self._single(which, number.cpu().numpy())
            _finish(there, self._scales[which][number], out[:, column : column + store.info.width])
            column += store.info.width
        return out.view(*rows.shape, self.width)

    def _single(self, which: int, number: NDArray[np.int64]) -> Tensor:
        """Rows (N, D_s) of one mapped store."""
        item = np.searchsorted(self.starts, number, side="right") - 1
        store = self.stores[which]
        out = np.empty((len(number), store.info.width), store.values.dtype)
        for place, row in enumerate((self._first[which][item] + number - self.starts[item]).tolist()):
            store.copy_span(row, out[place : place + 1])
        return torch.from_numpy(out).to(self.device)

    def _read_ahead(self, positions: NDArray[np.int64]) -> None:
        """Have the disk begin with everything that the batch will need."""
        lengths = self._lengths[positions].tolist()
        for store, first in zip(self.stores, self._first, strict=True):
            store.read_ahead(list(zip(first[positions].tolist(), lengths, strict=True)))

    def _choose(self, budget_bytes: int) -> str:
        cells = (self.rows + 1) * self.width
        published = sum((self.rows + 1) * store.values.row_bytes for store in self.stores)
        if 4 * cells <= budget_bytes:
            return "fused"
        return "published" if published <= budget_bytes else "mapped"

    def _scale(self, number: int) -> Tensor:
        """(M+1,) what each row is divided by; 1 for padding. Finds the non-finite rows: their norms are not finite."""
        store = self.stores[number]
        source = np.repeat(self._first[number] - self.starts[:-1], self._lengths) + np.arange(self.rows)
        norms = np.asarray(store.row_norms, np.float32)[source]
        wrong = np.flatnonzero(~np.isfinite(norms))
        if len(wrong):
            item = int(np.searchsorted(self.starts, wrong[0], side="right")) - 1
            raise StoreError(
                f"{store.path}: {self.ids[item]!r}: row {int(wrong[0] - self.starts[item])}: NaN or Inf "
                f"({len(wrong)} such rows in the items asked for); set `non_finite: zero` for this feature, or mend its files"
            )
        scale = norms + np.float32(EPSILON) if self.normalise else np.ones_like(norms)
        return torch.from_numpy(np.append(scale, np.float32(1)))

    def _fused_table(self) -> Tensor:
        """(M+1, D) float32, the last row zero."""
        table = _memory(self.rows + 1, self.width, torch.float32, self.device)
        table[-1] = 0
        column = 0
        for number, store in enumerate(self.stores):
            for start, stop, rows in self._blocks(number):
                part = table[start:stop, column : column + store.info.width]
                _finish(rows.to(self.device), self._scales[number][start:stop].to(self.device), part)
            column += store.info.width
        return table

    def _published_table(self, number: int) -> Tensor:
        """(M+1, D_s) of one store's type, the last row zero."""
        store = self.stores[number]
        table = _memory(self.rows + 1, store.info.width, _torch_dtype(store), self.device)
        table[-1] = 0
        for start, stop, rows in self._blocks(number):
            table[start:stop] = rows
        return table

    def _blocks(self, number: int) -> Iterator[tuple[int, int, Tensor]]:
        """(start, stop, rows start..stop as stored) in whole items. Gives maps back in between, so that no row is held twice."""
        store = self.stores[number]
        per_block = max(1, BUILD_BYTES // store.values.row_bytes)
        first = 0
        while first < len(self.ids):
            last = max(first + 1, int(np.searchsorted(self.starts, self.starts[first] + per_block, side="right")) - 1)
            last = min(last, len(self.ids))
            start, stop = int(self.starts[first]), int(self.starts[last])
            block = np.empty((stop - start, store.info.width), store.values.dtype)
            for item in range(first, last):
                at, rows = int(self.starts[item]) - start, int(self._lengths[item])
                store.copy_span(int(self._first[number][item]), block[at : at + rows])
            yield start, stop, torch.from_numpy(block)
            store.unmap()
            first = last

    def _from_maps(self, number: int, positions: NDArray[np.int64], longest: int, room: int) -> Tensor:
        """(B*T, D_s) as stored, zero on padding, on `device`."""
        store = self.stores[number]
        rows = self._scratched(number, len(positions) * longest, room, _torch_dtype(store), host=True)
        block = rows.numpy().reshape(len(positions), longest, store.info.width)
        starts, lengths = self._first[number][positions].tolist(), self._lengths[positions].tolist()
        for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            store.copy_span(start, block[row, :length])
            block[row, length:] = 0
        return rows.to(self.device)  # blocking, so the scratch memory is free again

    def _buffer(self, rows: int, room: int) -> Tensor:
        """(rows, D) of the next buffer in turn; where it is too small, of a new one of `room` rows."""
        self._turn = (self._turn + 1) % BUFFERS
        if self._buffers[self._turn].numel() < rows * self.width:
            with torch.inference_mode(False):  # a buffer that validation enlarged is written to by training afterwards
                self._buffers[self._turn] = _memory(room, self.width, torch.float32, self.device).view(-1)
        return self._buffers[self._turn][: rows * self.width].view(rows, self.width)

    def _scratched(self, number: int, rows: int, room: int, dtype: torch.dtype, *, host: bool = False) -> Tensor:
        device = torch.device("cpu") if host else self.device
        width = self.stores[number].info.width
        key = (width, dtype, str(device))
        if key not in self._scratch or self._scratch[key].numel() < rows * width:
            pinned = host and self.device.type == "cuda"
            with torch.inference_mode(False):
                self._scratch[key] = torch.empty(room * width, dtype=dtype, device=device, pin_memory=pinned)
        return self._scratch[key][: rows * width].view(rows, width)

    def _send(self, positions: NDArray[np.int64]) -> Tensor:
        tensor = torch.from_numpy(positions)
        if self.device.type == "cuda":  # pinned, so that the copy does not wait for the step that is running
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor

    def _names(self) -> str:
        return " + ".join(str(store.path) for store in self.stores)


def _rounded_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _memory(rows: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(rows, width), uninitialised. On the CPU by way of NumPy, which asks for huge pages: filling small ones costs more."""
    if device.type != "cpu":
        return torch.empty(rows, width, dtype=dtype, device=device)
    return torch.from_numpy(np.empty((rows, width), str(dtype).removeprefix("torch.")))


def _finish(rows: Tensor, scale: Tensor, out: Tensor) -> None:
    """out = float32(rows) / scale: true division, so that every device and every home rounds alike."""
    step = FINISH_ROWS if out.device.type == "cpu" else max(1, len(out))  # on a CPU, rows still in its cache are divided
    for start in range(0, len(out), step):
        part = out[start : start + step]
        part.copy_(rows[start : start + step])
        part.div_(scale[start : start + step, None])


def _torch_dtype(store: FeatureStore) -> torch.dtype:
    return {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}[store.values.dtype]


def _mapped(stores: tuple[FeatureStore, ...], normalise: bool, ids: list[str]) -> Fused:
    return Fused(stores, normalise=normalise, budget_bytes=0, ids=ids)
