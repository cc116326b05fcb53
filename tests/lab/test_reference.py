"""The reference family's machinery on its quick scale; the recorded rows against retrained ones."""

import numpy as np
import pytest
import torch

from densing.data import distribution_documents
from densing.errors import InputError
from densing.lab import reference_plan, reference_spec
from densing.lab.reference import training
from densing.lab.reference.evaluation import split_losses
from densing.lab.reference.recipe import SIZES, training_windows
from densing.lab.reference.text import QUICK_TOKENIZER
from densing.lab.reference.training import branches, snapshots, trunk_folder

COUNTS = {
    "d0.01M": 13_944, "d0.05M": 55_536, "d0.1M": 111_024, "d0.2M": 201_280, "d0.4M": 443_232, "d0.9M": 915_376,
    "d2M": 1_860_640,
}  # fmt: skip


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "repository_root", lambda: tmp_path)
    return reference_spec("d0.01M", 0, budgets=(50_000, 90_000), tokenizer=QUICK_TOKENIZER).config


def test_counts():
    assert {size: shape.n_parameters for size, shape in SIZES.items()} == COUNTS
    assert SIZES["d0.9M"].n_embedding == 114_688


def test_full_plan_has_101_branches():
    plan = reference_plan("full")
    branch_count = sum(len(spec.config["budgets"].split()) for spec in plan)
    assert branch_count == 101
    assert len({spec.digest for spec in plan}) == len(plan)
    first = [(spec.config["size"], spec.config["seed"]) for spec in plan[:7]]
    assert first == [(size, 0) for size in SIZES]


def test_every_size_reads_the_same_text_in_the_same_order():
    short = training_windows(QUICK_TOKENIZER, 51_200, seed=1)
    longer = training_windows(QUICK_TOKENIZER, 102_400, seed=1)
    assert (longer[: len(short)] == short).all()
    assert (training_windows(QUICK_TOKENIZER, 51_200, seed=2) != short).any()


def test_a_stopped_run_goes_on_bit_for_bit(config):
    whole = {budget: model.state_dict() for budget, model, _ in branches(config)}
    folder = trunk_folder(config)
    kept = {path.name for path in folder.iterdir()}
    assert {"branch-50000.safetensors", "branch-90000.safetensors"} <= kept
    assert [tokens for tokens, _ in snapshots(config)][:2] == [32_768, 47_104]
    # as if it had been stopped after the first branch
    for path in folder.glob("*"):
        if path.name not in ("branch-50000.safetensors", "trunk-44.safetensors"):
            path.unlink()
    again = {budget: model.state_dict() for budget, model, _ in branches(config)}
    for name, value in whole[90_000].items():
        assert torch.equal(again[90_000][name], value)


def test_without_kept_states_nothing_is_found_or_left(monkeypatch, tmp_path):
    kept = reference_spec("d0.01M", 0, budgets=(50_000,), tokenizer=QUICK_TOKENIZER).config
    monkeypatch.setenv("DENSING_REFERENCE", str(tmp_path))
    assert trunk_folder(kept).parent == tmp_path
    with training.no_kept_states():
        inside = trunk_folder(kept).parent
        assert inside != tmp_path and inside.is_dir()
    assert not inside.exists() and trunk_folder(kept).parent == tmp_path


def test_a_damaged_state_is_named(config):
    next(iter(branches(config)))
    path = trunk_folder(config) / "branch-50000.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="branch-50000"):
        next(iter(branches(config)))


def test_losses_of_splits(config):
    _, model, seconds = next(iter(branches(config)))
    losses, texts = split_losses(model, QUICK_TOKENIZER, ("val_b",))
    assert 2 < losses["bits_per_byte_val_b"] < 5
    assert len(texts) == len(held := distribution_documents("nbformat"))
    nats = -sum(text["log_p"] for text in texts)
    n_bytes = sum(len(document.text.encode("utf-8")) for document in held)
    assert losses["bits_per_byte_val_b"] == pytest.approx(nats / np.log(2) / n_bytes, rel=1e-5)
    assert seconds > 0


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"size": "d3M"}, "d0.01M"),
        ({"decay_share": 0}, "decay_share"),
        ({"skills_share": 0.95}, "skills_share"),
        ({"items": 5}, "items"),
        ({"budgets": (2_000, 1_000)}, "budgets"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_input_is_named(options, name):
    with pytest.raises(InputError, match=name):
        reference_spec(**({"size": "d0.01M"} | options))
