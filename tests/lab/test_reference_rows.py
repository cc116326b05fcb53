"""Recorded rows of the family, trained again from nothing."""

import hashlib
import subprocess

import pytest

from densing.lab import load_reference, load_reference_runs, reference_spec
from densing.lab.reference.evaluation import split_losses
from densing.lab.reference.store import checkpoint_path
from densing.lab.reference.training import branches, no_kept_states

LONGEST = 60.0  # seconds that a row may have taken
SAMPLES = 3


def draw():
    """A number that changes with every commit."""
    asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    return int(hashlib.sha256(asked.stdout.strip().encode()).hexdigest(), 16) % 2**32


def sampled_rows():
    rows = load_reference_runs().query("train_seconds <= @LONGEST").sort_values(["size", "seed", "tokens"])
    return rows.sample(SAMPLES, random_state=draw()).to_dict("records")


@pytest.mark.slow
@pytest.mark.parametrize("place", range(SAMPLES))
def test_a_recorded_row_is_reached_again(place):
    row = sampled_rows()[place]
    config = reference_spec(row["size"], row["seed"], budgets=(row["tokens"],)).config
    assert config["corpus"] == row["corpus"] and config["skills"] == row["skills"]
    with no_kept_states():
        _, model, _ = next(branches(config))
    losses, _ = split_losses(model, config["tokenizer"], ("val_b",))
    for name in ("bits_per_byte_val_b", "nats_per_token_val_b"):
        assert losses[name] == pytest.approx(row[name], rel=1e-3)


@pytest.mark.slow
def test_committed_checkpoints_give_the_recorded_losses():
    """In half precision, so only nearly."""
    rows = load_reference_runs().query("tokens == 4_000_000 and n_parameters < 500_000")
    for row in rows.sample(2, random_state=draw()).itertuples():
        assert checkpoint_path(row.size, row.tokens, row.seed, row.tokenizer, "branch").is_file()
        model = load_reference(row.size, row.tokens, row.seed)
        losses, _ = split_losses(model, row.tokenizer, ("val_b",))
        assert losses["bits_per_byte_val_b"] == pytest.approx(row.bits_per_byte_val_b, rel=2e-3)
