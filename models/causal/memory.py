"""Dictionary of other samples that follows the training data: each observation is averaged into the entry most like it.

    k_i = argmax_k cos(p_i, r_k)   against the entries before the update, the first maximum

    together   r_k := (r_k + mean of its p_i) / 2           whatever the order of the batch
    in order   r_k := (r_k + p_i) / 2 for i = 0, 1, ...     later observations weigh more

Source: CausalVTG (NeurIPS 2025).   B observations, K entries, D channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from models.layers.mapping import Mapping


def nearest_entry(pooled: Tensor, rows: Tensor) -> Tensor:
    """pooled (B, D), rows (K, D) -> (B,) int64: the row of largest cosine, the first among equals."""
    return (F.normalize(pooled, dim=-1) @ F.normalize(rows, dim=-1).T).argmax(dim=-1)


def average_together(rows: Tensor, pooled: Tensor, entry: Tensor) -> Tensor:
    """Rows (K, D), pooled (B, D), entry (B,) -> (K, D): entries that were hit move half way to the mean of their observations."""
    hits = torch.zeros(rows.shape[0], 1, device=rows.device).index_add_(0, entry, pooled.new_ones(len(pooled), 1))  # (K, 1)
    total = torch.zeros_like(rows).index_add_(0, entry, pooled)
    return torch.where(hits > 0, (rows + total / hits.clamp(min=1)) / 2, rows)


def average_in_order(rows: Tensor, pooled: Tensor, entry: Tensor) -> Tensor:
    """The same sizes, one observation after the other, without a loop over them.

    Unrolled, the j-th of m observations of an entry weighs 2^-(m - j + 1) and the old entry 2^-m. Halving is exact in binary,
    so summing these terms in the order of the batch rounds as the loop does.
    """
    same = entry[:, None] == entry[None, :]  # (B, B)
    later = same.triu(diagonal=1).sum(dim=1)  # (B,) observations of the same entry that follow
    half_to = torch.full((len(entry) + 1,), 0.5, device=rows.device).cumprod(dim=0)  # (B + 1,): 2^-1, 2^-2, ...
    halvings = torch.zeros(rows.shape[0], dtype=torch.int64, device=rows.device).index_add_(0, entry, torch.ones_like(entry))
    kept = torch.where(halvings > 0, half_to[(halvings - 1).clamp(min=0)], 1.0)  # (K,)
    return (rows * kept[:, None]).index_add_(0, entry, pooled * half_to[later][:, None])


def over_processes(x: Tensor) -> Tensor:
    """x (B, D) of this process -> the rows of all processes in rank order, so that each applies the same update."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return x
    counts = x.new_zeros(distributed.get_world_size(), dtype=torch.int64)
    distributed.all_gather_into_tensor(counts, counts.new_full((1,), len(x)))
    longest = int(counts.max())
    gathered = x.new_empty(len(counts) * longest, x.shape[1])  # one process after the other, as every backend takes it
    distributed.all_gather_into_tensor(gathered, F.pad(x, (0, 0, 0, longest - len(x))))
    return torch.cat([part[:count] for part, count in zip(gathered.split(longest), counts.tolist(), strict=True)])


class Memory(nn.Module):
    """Entries of a dictionary and their mapping into the model.

    mapped False   the buffer holds raw rows (1, K, D); the mapping is trained through them
    mapped True    the buffer holds mapped rows (1, K, C), mapped once with the weights of the start; the mapping never learns
    """

    rows: Tensor

    def __init__(self, dictionary: Tensor, *, d_model: int, dropout: float, mapped: bool) -> None:
        super().__init__()
        self.mapped = mapped
        self.map = Mapping(d_in=dictionary.shape[1], d_model=d_model, dropout=dropout)
        self.register_buffer("rows", torch.empty(0))
        self.fill(dictionary)

    @torch.no_grad()
    def fill(self, dictionary: Tensor) -> None:
        """Start from dictionary (K, D). Mapped rows are made in the current train or eval state."""
        self.rows = (self.map(dictionary) if self.mapped else dictionary.clone())[None]

    def forward(self) -> Tensor:
        """The entries as the model sees them: (K, C)."""
        return self.rows[0] if self.mapped else self.map(self.rows[0])

    @torch.no_grad()
    def observe(self, pooled: Tensor) -> Tensor:
        """Average pooled (B, D) into the entries, without gradient; the entry (B,) that each observation went to."""
        with torch.autocast(pooled.device.type, enabled=False):
            seen = over_processes(self.map(pooled) if self.mapped else pooled)
            entry = nearest_entry(seen, self.rows[0])
            average = average_in_order if self.mapped else average_together
            self.rows.copy_(average(self.rows[0], seen, entry)[None])
        return entry
