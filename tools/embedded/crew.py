"""Training with several single-threaded processes on one machine, which beats one process with several threads for
small networks: threads meet at every operation, processes only every `EVERY` steps.

Each worker trains on its own samples; weights and optimiser moments are averaged every `EVERY` steps (local SGD,
Stich 2019). The state right after an averaging is the same everywhere, and only there is it saved, so that a run that
was stopped goes on exactly.
"""

import os
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import distributed, nn

from tools.embedded.training import Trainer

EVERY = 20


def join_crew(folder: Path, rank: int, workers: int) -> None:
    """Meet the other workers through a file in `folder`; rank 0 must have removed what an earlier run left there."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group("gloo", init_method=f"file://{(folder / 'crew').resolve()}", rank=rank, world_size=workers)


def agreed(wish: bool) -> bool:
    """Whether any worker wishes; all must call it at the same step."""
    vote = torch.tensor([float(wish)])
    distributed.all_reduce(vote)
    return bool(vote.item() > 0)


class Member(Trainer, Protocol):
    """A trainer that can share its work: one network, one optimiser."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    settings: Any


class CrewTrainer:
    """One trainer among equals; give each worker another seed."""

    def __init__(self, inner: Member) -> None:
        self.inner = inner

    def step(self, number: int, learning_rate: float) -> dict[str, float]:
        """One step of one's own, then an average with the others where it is due."""
        figures = self.inner.step(number, learning_rate)
        if (number + 1) % EVERY == 0:
            self._average()
        return figures

    def _average(self) -> None:
        moments = [state[name] for state in self.inner.optimiser.state.values() for name in ("exp_avg", "exp_avg_sq") if name in state]
        values = [value.data for value in self.inner.network.parameters()] + moments
        flat = torch.cat([value.reshape(-1) for value in values])
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
        for value, part in zip(values, flat.split([value.numel() for value in values]), strict=True):
            value.copy_(part.view_as(value))

    def state(self) -> dict[str, Any]:
        """See `Trainer`."""
        return self.inner.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """See `Trainer`."""
        self.inner.load_state(state)

    def sheet(self, path: Path) -> None:
        """See `Trainer`."""
        self.inner.sheet(path)
