"""Learning from a larger model's predictions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from densing.checks import check_range
from densing.errors import InputError


def logit_distillation(
    student_logits: Tensor,
    teacher_logits: Tensor,
    targets: Tensor,
    *,
    temperature: float = 2.0,
    weight: float = 0.5,
) -> Tensor:
    """Mean of (1 - weight) CE(targets, student) + weight T^2 KL(teacher_T || student_T), nats.

    Parameters
    ----------
    student_logits, teacher_logits : (n, vocab_size); no gradient flows into the teacher's.
    targets : (n,) token ids.
    temperature : T > 0, by which both logits are divided in the second term. weight : [0, 1] of that term.

    Raises
    ------
    InputError : shapes that differ, or a value outside its range.

    References
    ----------
    Hinton, Vinyals and Dean (2015), arXiv 1503.02531, section 2; the factor T^2 keeps the two gradients comparable.
    """
    check_range("temperature", temperature, 0, open_low=True)
    check_range("weight", weight, 0, 1)
    if student_logits.shape != teacher_logits.shape:
        shapes = f"{tuple(student_logits.shape)} and {tuple(teacher_logits.shape)}"
        raise InputError(f"student_logits, teacher_logits: must have one shape, have {shapes}")
    hard = F.cross_entropy(student_logits, targets)
    soft = F.kl_div(
        F.log_softmax(student_logits / temperature, -1),
        F.log_softmax(teacher_logits.detach() / temperature, -1),
        reduction="batchmean",
        log_target=True,
    )
    return (1 - weight) * hard + weight * temperature**2 * soft


class Student(nn.Module):
    """A model that learns from a teacher's predictions wherever it is trained: its `loss` is `logit_distillation`.

    Parameters
    ----------
    model : the student; maps tokens (batch, length) to logits. Its parameters are this module's only ones.
    teacher : the same for the teacher, with the same vocabulary; not trained.
    temperature, weight : as in `logit_distillation`.
    """

    def __init__(
        self, model: nn.Module, teacher: nn.Module, *, temperature: float = 2.0, weight: float = 0.5
    ):
        super().__init__()
        check_range("temperature", temperature, 0, open_low=True)
        check_range("weight", weight, 0, 1)
        self.model = model
        self._teacher = (teacher.eval(),)  # in a tuple: not a part of this module, so never trained or saved
        self.temperature, self.weight = temperature, weight

    def loss(self, windows: Tensor) -> Tensor:
        """Objective in nats on windows (batch, length + 1), first token given."""
        inputs, targets = windows[:, :-1], windows[:, 1:].flatten()
        with torch.no_grad():
            teacher = self._teacher[0](inputs).flatten(0, 1)
        student = self.model(inputs).flatten(0, 1)
        return logit_distillation(student, teacher, targets, temperature=self.temperature, weight=self.weight)
