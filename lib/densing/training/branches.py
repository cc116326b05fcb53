"""Trunk and branches: one constant-rate run, left before every budget for a short decay."""

from collections.abc import Iterator, Sequence

from densing.checks import check_range
from densing.errors import InputError
from densing.training.schedules import constant, wsd
from densing.training.trainer import Trainer, TrainingHooks


class Trunk:
    """A constant-rate run whose branches are runs planned for their budgets.

    A branch at budget D leaves the trunk at (1 - decay_share)·D and decays the rate exponentially to `final`
    of the peak, so it has seen exactly D tokens (whole batches), and equals bit for bit a run planned for D
    with the same warm-up.

    Parameters
    ----------
    trainer : at step 0, or restored from an earlier state of the same trunk; its schedule is replaced by
        warm-up and constant.
    warmup_tokens : length of the warm-up, >= 0.
    decay_share : share of a budget spent in the decay, (0, 0.5]; a share below half a batch leaves the trunk
        as it is.
    final : share of the peak rate at the end of a branch, (0, 1].

    References
    ----------
    Hu et al. (2024), MiniCPM, section 4.
    """

    def __init__(
        self, trainer: Trainer, *, warmup_tokens: float = 0, decay_share: float = 0.1, final: float = 0.1
    ) -> None:
        check_range("decay_share", decay_share, 0, 0.5, open_low=True)
        check_range("final", final, 0, 1, open_low=True)
        self.trainer = trainer
        self.warmup_tokens = warmup_tokens
        self.decay_share = decay_share
        self.final = final
        trainer.schedule = constant(warmup_tokens)

    def steps(self, budget: float) -> int:
        """Whole batches nearest to a budget in tokens, at least 1."""
        check_range("budget", budget, 0, open_low=True)
        return max(1, round(budget / self.trainer.batch_tokens))

    def departure(self, budget: float) -> int:
        """Step at which the branch for `budget` (tokens) leaves the trunk."""
        total = self.steps(budget)
        return total - round(self.decay_share * total)

    def branch(self, budget: float, hooks: TrainingHooks | None = None) -> Trainer:
        """Advance the trunk to where the branch for `budget` (tokens) leaves it, and return the decayed
        branch.

        Raises
        ------
        InputError : a budget whose start the trunk has already passed, or beyond the unique tokens.
        """
        total = self.steps(budget)
        decay = total - self.departure(budget)
        if total - decay < self.trainer.step_count:
            raise InputError(
                f"budget = {budget}: its branch leaves at {(total - decay) * self.trainer.batch_tokens} tokens, "
                f"the trunk has seen {self.trainer.tokens_seen}; budgets must increase"
            )
        self.trainer.run_to(total - decay, hooks)
        twin = self.trainer.fork()
        if decay:
            size = self.trainer.batch_tokens
            warmup = min(self.warmup_tokens, total * size)
            twin.schedule = wsd(
                total * size, warmup_tokens=warmup, decay_tokens=decay * size, final=self.final
            )
        return twin.run_to(total, hooks)


def train_branches(trunk: Trunk, budgets: Sequence[float]) -> Iterator[tuple[float, Trainer]]:
    """Every budget (increasing, in tokens) with its decayed branch, as each is finished."""
    for before, after in zip(budgets, budgets[1:], strict=False):
        if not before < after:
            raise InputError(f"budgets = {list(budgets)}: must increase")
    for budget in budgets:
        yield budget, trunk.branch(budget)
