"""How a training goes: what it tells while it runs, and what it was. Without torch, so that commands can listen."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class History:
    """How a training went: the loss of each step (of the first player), and (step, score) of each validation."""

    losses: list[float] = field(default_factory=list)
    validations: list[tuple[int, float]] = field(default_factory=list)

    @property
    def best_step(self) -> int:
        """The first step with the highest score, the last step where none was scored."""
        return max(self.validations, key=lambda each: each[1], default=(len(self.losses), 0.0))[0]

    def has_waited(self, patience: int | None) -> bool:
        """Say whether the last `patience` validations were no better than one before."""
        waited = sum(step > self.best_step for step, _ in self.validations)
        return patience is not None and waited >= patience


class Listener:
    """What a training tells; override what is of interest. An error raised here stops it, and it can go on later."""

    def on_start(self, _steps: int, _finished: int, /) -> None:
        """At most so many steps will be trained (0: the clock alone ends them); so many were trained before."""

    def on_step(self, _step: int, _loss: float, /) -> None:
        """Step number `step`, from 1, was trained."""

    def on_validation(self, _step: int, _score: float, /, *, is_best: bool) -> None:
        """The weights after this step were scored; where a checkpoint is due, all of it is on disk."""
