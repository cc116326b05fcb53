import numpy as np
import pytest
import torch

from densing.models import Decoder, DecoderConfig
from densing.training import Trainer, Trunk, constant, train_branches, wsd

LENGTH, BATCH = 16, 4


def make_trainer(windows, schedule=None, **options):
    model = Decoder(DecoderConfig(20, 16, 1, 2, context=LENGTH), seed=1)
    options = {"peak_rate": 5e-3, "batch_sequences": BATCH} | options
    return Trainer(model, windows, schedule=schedule or constant(), **options)


@pytest.fixture
def windows():
    rng = np.random.default_rng(0)
    steps = np.cumsum(rng.integers(0, 3, size=(400, LENGTH + 1)), axis=1)
    return (steps % 20).astype(np.uint16)


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def test_wsd_rises_holds_and_decays():
    share = wsd(1_000, warmup_tokens=100, decay_tokens=200, final=0.1)
    assert share(50) == pytest.approx(0.5)
    assert share(100) == share(500) == share(800) == 1.0
    assert share(900) == pytest.approx(np.sqrt(0.1))  # exponential: half-way is the geometric mean
    assert share(1_000) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "bad",
    [{"decay_tokens": 2_000}, {"decay_tokens": 1, "final": 0}, {"decay_tokens": 1, "warmup_tokens": -1}],
)
def test_wsd_refuses(bad):
    with pytest.raises(ValueError, match="must be"):
        wsd(1_000, **bad)


def test_training_learns_what_is_there(windows):
    trainer = make_trainer(windows)
    held = torch.from_numpy(windows[-50:].astype(np.int64))
    before = float(trainer.model.loss(held).detach())
    after = float(trainer.run_to(80).model.loss(held).detach())
    assert after < before - 0.8  # three steps are possible: ln 3 = 1.1 against ln 20 = 3.0
    shuffled = np.random.default_rng(1).permuted(windows, axis=1)
    fooled = float(make_trainer(shuffled).run_to(80).model.loss(held).detach())
    assert fooled > after + 0.8


def test_branch_sees_exactly_its_budget_and_leaves_the_trunk_alone(windows):
    trainer = make_trainer(windows)
    trunk = Trunk(trainer, decay_share=0.25)
    size = trainer.batch_tokens
    seen = {budget: branch.tokens_seen for budget, branch in train_branches(trunk, [8 * size, 24 * size])}
    assert seen == {8 * size: 8 * size, 24 * size: 24 * size}
    assert trainer.tokens_seen == 18 * size
    undisturbed = make_trainer(windows).run_to(18)
    assert torch.equal(weights(trainer), weights(undisturbed))


def test_planned_run_equals_the_branch_bit_for_bit(windows):
    size = make_trainer(windows).batch_tokens
    trunk = Trunk(make_trainer(windows), warmup_tokens=5 * size, decay_share=0.2, final=0.1)
    trunk.branch(10 * size)
    branch = trunk.branch(30 * size)
    planned = make_trainer(
        windows, wsd(30 * size, warmup_tokens=5 * size, decay_tokens=6 * size, final=0.1)
    ).run_to(30)
    assert torch.equal(weights(branch), weights(planned))
    constant_rate = make_trainer(windows, constant(5 * size)).run_to(30)
    assert not torch.equal(weights(branch), weights(constant_rate))


def test_branch_without_decay_is_the_trunk(windows):
    trunk = Trunk(make_trainer(windows), decay_share=1e-6)
    branch = trunk.branch(12 * trunk.trainer.batch_tokens)
    assert torch.equal(weights(branch), weights(trunk.trainer))


def test_refusals(windows):
    with pytest.raises(ValueError, match="decay_share = 0"):
        Trunk(make_trainer(windows), decay_share=0)
    with pytest.raises(ValueError, match="6400 unique tokens"):
        make_trainer(windows).run_to(101)
    make_trainer(windows, allow_repeat=True).run_to(101)
    with pytest.raises(ValueError, match="budgets must increase"):
        trunk = Trunk(make_trainer(windows))
        trunk.branch(2_000)
        trunk.branch(100)
    with pytest.raises(ValueError, match="must increase"):
        list(train_branches(Trunk(make_trainer(windows)), [200, 100]))
    with pytest.raises(ValueError, match="must be finite"):
        broken = make_trainer(windows)
        broken.model.embedding.weight.data[0] = float("nan")
        broken.run_to(5)


def test_trunk_goes_on_from_a_state_bit_for_bit(windows):
    whole = Trunk(make_trainer(windows), warmup_tokens=300, decay_share=0.2)
    for budget in (1_280, 2_560):
        last = whole.branch(budget)
    first = Trunk(make_trainer(windows), warmup_tokens=300, decay_share=0.2)
    first.branch(1_280)
    later = Trunk(make_trainer(windows).restore(first.trainer.state()), warmup_tokens=300, decay_share=0.2)
    assert later.trainer.tokens_seen == first.trainer.tokens_seen > 0
    resumed = later.branch(2_560)
    assert torch.equal(weights(resumed), weights(last))


def test_state_of_another_model_is_refused(windows):
    state = make_trainer(windows).run_to(2).state()
    del state["exp_avg.norm.weight"]
    with pytest.raises(ValueError, match=r"exp_avg\.norm\.weight"):
        make_trainer(windows).restore(state)
