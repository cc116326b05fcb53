"""The one training loop: windows in their given order, AdamW, clipping, a schedule in tokens."""

import copy
import math
from typing import Protocol

import numpy as np
import torch
from torch import nn

from densing.checks import check_flag, check_range
from densing.errors import InputError
from densing.training.schedules import Schedule

_MOMENTS = ("exp_avg", "exp_avg_sq")


class TrainingHooks(Protocol):
    """What a caller may listen to while a `Trainer` runs."""

    def after_step(self, trainer: "Trainer", loss: float) -> None:
        """Called after every step with the step's mean loss in nats."""


class Trainer:
    """Train a decoder on windows, step by step; can be forked at any point.

    Parameters
    ----------
    model : has ``loss(windows)``; moved to `device`.
    windows : (n, length + 1) token ids in the order in which they are seen.
    schedule : share of the peak rate against tokens seen.
    peak_rate : AdamW's rate at share 1, > 0.
    batch_sequences : windows a step.
    weight_decay : on matrices only, >= 0.
    clip : largest gradient norm, > 0.
    betas : of AdamW.
    allow_repeat : go on with the first window after the last one.

    Raises
    ------
    InputError : bad values; windows that do not fill one batch; a loss that is not finite.
    """

    def __init__(
        self,
        model: nn.Module,
        windows: np.ndarray,
        *,
        schedule: Schedule,
        peak_rate: float,
        batch_sequences: int,
        weight_decay: float = 0.1,
        clip: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.95),
        allow_repeat: bool = False,
        device: str = "cpu",
    ) -> None:
        check_range("peak_rate", peak_rate, 0, open_low=True)
        check_range("batch_sequences", batch_sequences, 1, len(windows), integer=True)
        check_range("weight_decay", weight_decay, 0)
        check_range("clip", clip, 0, open_low=True)
        check_flag("allow_repeat", allow_repeat)
        self.model = model.to(device)
        self.windows = windows
        self.schedule = schedule
        self.peak_rate = peak_rate
        self.batch_sequences = batch_sequences
        self.clip = clip
        self.allow_repeat = allow_repeat
        self.device = device
        self.step_count = 0
        self._parameters = list(self.model.parameters())
        groups = [
            {"params": [p for p in self._parameters if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in self._parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=peak_rate, betas=betas, fused=True)

    @property
    def batch_tokens(self) -> int:
        """Tokens predicted in a step."""
        return self.batch_sequences * (self.windows.shape[1] - 1)

    @property
    def tokens_seen(self) -> int:
        """Tokens predicted so far."""
        return self.step_count * self.batch_tokens

    @property
    def unique_tokens(self) -> int:
        """Tokens that can be predicted before a window comes again."""
        return len(self.windows) // self.batch_sequences * self.batch_tokens

    def run_to(self, step: int, hooks: TrainingHooks | None = None) -> "Trainer":
        """Train until `step` steps have been taken in all."""
        check_range("step", step, self.step_count, integer=True)
        if step * self.batch_tokens > self.unique_tokens and not self.allow_repeat:
            raise InputError(
                f"budget = {step * self.batch_tokens} tokens: must be at most the {self.unique_tokens} unique tokens "
                "(allow_repeat=True goes on)"
            )
        self.model.train()
        while self.step_count < step:
            loss = self._step()
            if hooks is not None:
                hooks.after_step(self, loss)
        return self

    def fork(self) -> "Trainer":
        """A copy with its own weights and optimizer state; the windows are shared."""
        twin = copy.copy(self)
        twin.model = copy.deepcopy(self.model)
        twin._parameters = list(twin.model.parameters())
        matching = dict(zip(map(id, self._parameters), twin._parameters, strict=True))
        groups = [
            {**group, "params": [matching[id(p)] for p in group["params"]]}
            for group in self.optimizer.param_groups
        ]
        twin.optimizer = torch.optim.AdamW(groups, fused=True)
        twin.optimizer.load_state_dict(copy.deepcopy(self.optimizer.state_dict()))
        return twin

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that a later `restore` needs: weights, both moments of AdamW, the step."""
        state = {"step": torch.tensor(self.step_count)}
        for name, parameter in self.model.named_parameters():
            state[f"model.{name}"] = parameter.detach().cpu().clone()
            for moment in _MOMENTS if self.step_count else ():
                state[f"{moment}.{name}"] = self.optimizer.state[parameter][moment].cpu().clone()
        return state

    def restore(self, state: dict[str, torch.Tensor]) -> "Trainer":
        """Go on from a `state` of the same model on the same windows, bit for bit.

        Raises
        ------
        InputError : a state of another model (names the tensor).
        """
        step = int(state["step"])
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                for kind in ("model", *(_MOMENTS if step else ())):
                    saved = state.get(f"{kind}.{name}")
                    if saved is None or saved.shape != parameter.shape:
                        raise InputError(
                            f"state: {kind}.{name} is missing or of another shape than the model's"
                        )
                parameter.copy_(state[f"model.{name}"])
                if step:
                    self.optimizer.state[parameter] = {
                        "step": torch.tensor(float(step)),
                        **{moment: state[f"{moment}.{name}"].to(parameter.device) for moment in _MOMENTS},
                    }
        self.step_count = step
        return self

    def _batch(self) -> torch.Tensor:
        count = len(self.windows) // self.batch_sequences
        first = self.step_count % count * self.batch_sequences
        rows = self.windows[first : first + self.batch_sequences].astype(np.int64)
        return torch.from_numpy(rows).to(self.device)

    def _step(self) -> float:
        rate = self.peak_rate * self.schedule(self.tokens_seen + self.batch_tokens)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.model.loss(self._batch())
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, self.clip)
        value = loss.item()
        if not math.isfinite(value):
            raise InputError(
                f"loss = {value} at {self.tokens_seen} tokens: must be finite; try a lower peak_rate"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step_count += 1
        return value
