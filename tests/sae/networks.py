"""A scorer network like NCF's, small enough to check by finite differences."""

import torch
from torch import nn


class SmallNcf(nn.Module):
    """``mlp([p; q])`` over every pair of a block; tanh, so that finite differences meet no kink."""

    def __init__(self, dim, hidden=7, seed=5):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2 * dim, hidden), nn.Tanh(), nn.Dropout(0.5), nn.Linear(hidden, 1))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.7)

    def forward(self, users, items):
        left = users[:, None, :].expand(-1, len(items), -1)
        right = items[None, :, :].expand(len(users), -1, -1)
        return self.mlp(torch.cat([left, right], 2))[:, :, 0]
