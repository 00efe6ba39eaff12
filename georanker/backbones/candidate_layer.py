"""One layer of attention among the candidates of a photo."""

from __future__ import annotations

from torch import Tensor, nn


class CandidateLayer(nn.Module):
    """A pre-norm transformer layer whose attention takes a bias for each pair of candidates.

    Args:
        width: of the tokens.
        heads: of the attention; must divide the width.
        dropout: after attention and perceptron.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"heads must divide width, but {heads} does not divide {width}")
        self.heads = heads
        self.attention_norm, self.perceptron_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project_in, self.project_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        """Return new tokens.

        Args:
            tokens: (B, K, width).
            bias: (B, heads, K, K), added to the logits of attention; -inf hides a candidate.
        """
        query, key, value = (
            self.project_in(self.attention_norm(tokens)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )
        seen = nn.functional.scaled_dot_product_attention(query, key, value, bias)
        tokens = tokens + self.dropout(self.project_out(seen.transpose(1, 2).flatten(2)))
        mixed: Tensor = self.dropout(self.perceptron(self.perceptron_norm(tokens)))
        return tokens + mixed
