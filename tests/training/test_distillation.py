"""Distillation: the objective against its definition, and what a student learns."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from densing.errors import InputError
from densing.models import Decoder, DecoderConfig
from densing.training import Student, Trainer, Trunk, constant, logit_distillation


def logits(seed, n=6, entries=11):
    return torch.randn(n, entries, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TARGETS = torch.arange(6)


def test_the_objective_is_its_definition():
    student, teacher = logits(0), logits(1)
    temperature, weight = 3.0, 0.3
    p, q = torch.softmax(teacher / temperature, -1), torch.softmax(student / temperature, -1)
    expected = 0.7 * -torch.log_softmax(student, -1)[TARGETS, TARGETS].mean()
    expected = expected + 0.3 * temperature**2 * (p * (p / q).log()).sum(-1).mean()
    found = logit_distillation(student, teacher, TARGETS, temperature=temperature, weight=weight)
    torch.testing.assert_close(found, expected)


def test_the_ends_are_cross_entropy_and_the_teacher_alone():
    student, teacher = logits(0), logits(1)
    hard = logit_distillation(student, teacher, TARGETS, weight=0.0)
    torch.testing.assert_close(hard, F.cross_entropy(student, TARGETS))
    assert logit_distillation(teacher, teacher, TARGETS, weight=1.0).abs() < 1e-12
    assert logit_distillation(student, teacher, TARGETS, weight=1.0) > 0.1


def test_the_gradient_of_the_soft_part_does_not_vanish_with_the_temperature():
    student, teacher = logits(0).requires_grad_(), logits(1).requires_grad_()
    sizes = []
    for temperature in (10.0, 100.0):
        loss = logit_distillation(student, teacher, TARGETS, temperature=temperature, weight=1.0)
        (gradient,) = torch.autograd.grad(loss, student)
        sizes.append(float(gradient.norm()))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.2), "the factor T^2; without it 100 times smaller"
    logit_distillation(student, teacher, TARGETS).backward()
    assert teacher.grad is None


def model(seed=0, width=16):
    return Decoder(DecoderConfig(12, width, 1, 2, context=8), seed=seed)


def trainer(network, seed=0):
    windows = np.random.default_rng(seed).integers(0, 12, (400, 9))
    return Trainer(network, windows, schedule=constant(), peak_rate=1e-2, batch_sequences=8)


def test_a_student_owns_its_own_parameters_only_and_leaves_the_teacher_alone():
    teacher = model(1)
    before = [p.detach().clone() for p in teacher.parameters()]
    student = Student(model(0), teacher)
    assert len(list(student.parameters())) == len(list(model(0).parameters()))
    trainer(student).run_to(5)
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.parameters(), strict=True))


def test_a_student_comes_close_to_a_teacher_that_the_targets_cannot_teach():
    """The targets are noise; the teacher's predictions are peaked. Only distillation can bring the student near."""
    teacher, inputs = model(1), torch.randint(0, 12, (16, 8), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        teacher.embedding.weight.mul_(30)
        wanted = torch.log_softmax(teacher(inputs), -1)

    def distance(network):
        with torch.no_grad():
            return float((wanted.exp() * (wanted - torch.log_softmax(network(inputs), -1))).sum(-1).mean())

    taught, plain = model(0), model(0)
    trainer(Student(taught, teacher, weight=0.9)).run_to(50)
    trainer(plain).run_to(50)
    assert distance(taught) < 0.7 * distance(plain)


def test_a_student_can_be_branched():
    student = Student(model(0), model(1))
    branch = Trunk(trainer(student), decay_share=0.2).branch(640)
    assert branch.tokens_seen == 640 and branch.model.model is not student.model


def test_without_weight_a_student_is_a_plain_run():
    plain, student = model(0), Student(model(0), model(1), weight=0.0)
    trainer(plain).run_to(5)
    trainer(student).run_to(5)
    for name, weight in plain.named_parameters():
        torch.testing.assert_close(dict(student.model.named_parameters())[name], weight, rtol=1e-3, atol=2e-5)


def test_bad_input_is_named():
    for call, words in (
        (lambda: logit_distillation(logits(0), logits(1)[:3], TARGETS), "one shape"),
        (lambda: logit_distillation(logits(0), logits(1), TARGETS, temperature=0), "temperature"),
        (lambda: Student(model(), model(), weight=1.5), "weight = 1.5"),
    ):
        with pytest.raises(InputError, match=words):
            call()
