"""Two-layer mapping of features into the space of the model, regularised before each product.

y = W2 drop(norm(relu(W1 drop(norm(x)))))
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.dropout import Dropout


class Mapping(nn.Module):
    """Features (..., d_in) -> (..., d_model)."""

    def __init__(self, *, d_in: int, d_model: int, dropout: float) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(d_in)
        self.inner = nn.Linear(d_in, d_model)
        self.norm = nn.LayerNorm(d_model)
        self.outer = nn.Linear(d_model, d_model)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., d_in) -> (..., d_model)."""
        return self.after_norm(self.norm_in(x))

    def after_norm(self, x: Tensor) -> Tensor:
        """The rest of `forward` for x (..., d_in) already normalised: to map the same rows under several dropout masks."""
        return self.outer(self.dropout(self.norm(F.relu(self.inner(self.dropout(x))))))
