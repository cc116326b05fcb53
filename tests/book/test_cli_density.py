"""``densing reference train``, ``densing export`` and ``densing density``, one after the other on one small corpus."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel
from typer.testing import CliRunner

from densing.book.cli import app
from densing.errors import InputError
from densing.lab import family_plan, load_ladder
from densing.laws import chinchilla


def call(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == 0, (result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    rng = np.random.default_rng(0)
    words = np.array(
        [a + b for a in ("ka", "lo", "mi", "nu", "re", "so") for b in ("n", "l", "st", "rt", "mpe")]
    )
    steps = rng.integers(0, 3, (60, 5_000))
    for i, row in enumerate(np.cumsum(steps * 7 + 1, axis=1) % len(words)):
        (folder / f"{i}.txt").write_text(" ".join(words[row]) + "\n")
    return folder


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mine") / "ladder"
    sizes, budgets = "d0.01M,d0.05M", "10240,20480"
    plan = ("--sizes", sizes, "--budgets", budgets, "--vocabulary", 300, "--to", folder)
    return folder, call("reference", "train", "--corpus", corpus, *plan).stdout


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    assert f"wrote {folder}" in call("export", branch(trained), "--to", folder).stdout
    return folder


def branch(trained):
    return load_ladder(trained[0]).checkpoint("d0.05M", 20_480, 0)


@pytest.fixture
def planted(trained, tmp_path):
    """A ladder of four sizes whose law gives twice the size of d0.05M the loss of the trained d0.05M."""
    folder = tmp_path / "planted"
    shutil.copytree(trained[0], folder)
    shutil.rmtree(folder / "runs")
    sizes = {"d0.01M": 13_944, "d0.05M": 55_536, "d0.2M": 201_280, "d0.9M": 915_376}
    frame = family_plan(sizes, (5_120, 10_240, 20_480), 1, single=0)
    law = {"E": 0.8, "A": 5.9, "B": 12, "alpha": 0.155, "beta": 0.4}
    own = load_ladder(trained[0]).frame.query("size == 'd0.05M' and tokens == 20480")["bits_per_byte"].iloc[0]
    scale = own / chinchilla(2 * 55_536, 20_480, **law)
    frame["bits_per_byte"] = scale * chinchilla(
        frame["n_parameters"].to_numpy(), frame["tokens"].to_numpy(), **law
    )
    frame.to_csv(folder / "ladder.csv", index=False)
    nats = load_ladder(trained[0]).document_nats["d0.05M", 20_480, 0]
    for row in frame.itertuples():
        place = folder / "runs" / f"{row.size}-seed0" / f"row-{row.tokens}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps({"document_nats": (nats * row.bits_per_byte / own).tolist()}))
    return folder


def test_reference_train_writes_a_ladder(trained):
    folder, printed = trained
    assert "2 runs" in printed and "Bits per byte" in printed and "d0.05M" in printed
    law = json.loads((folder / "law.json").read_text())
    assert law["kind"] == "power" and "law       power: c = " in printed
    assert len(load_ladder(folder).frame) == 4


def test_export_loads_in_transformers(exported):
    model = AutoModelForCausalLM.from_pretrained(exported, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(exported, local_files_only=True)
    torch.manual_seed(0)
    out = model.generate(**tokenizer("kan lo", return_tensors="pt"), max_new_tokens=20, do_sample=True)
    assert out.shape[1] > 3 and tokenizer.decode(out[0], skip_special_tokens=True).startswith("kan lo")


@pytest.mark.parametrize("given", ["export", "checkpoint"])
def test_density_of_a_planted_model_is_two(trained, exported, planted, given):
    model = exported if given == "export" else branch(trained)
    arguments = ("density", "--model", model, "--reference", planted, "--draws", 200)
    report = json.loads(call(*arguments, "--json").stdout)
    assert report["rho"] == pytest.approx(2, rel=2e-3) and report["method"] == "curve"
    assert 1.9 < report["rho_lower"] <= report["rho"] <= report["rho_upper"] < 2.1
    assert report["rho_equal_tokens"] == pytest.approx(2, rel=0.02)
    assert report["rho_equal_compute"] > 0 and report["extrapolated"] is False
    assert report["n_parameters"] == 55_536 and report["tokens"] == 20_480
    assert (report["start"], report["end"], report["lossless"]) == ("<doc>", "<doc>", 1)
    if given == "export":
        lines = call(*arguments).stdout
        for words in (
            "rho = 2 [",
            "equal tokens   2",
            "equal compute",
            "flags          none",
            "<doc> stands before",
        ):
            assert words in lines
        half = json.loads(call(*arguments, "--parameters", 111_072, "--tokens", 10_240, "--json").stdout)
        assert half["rho"] == pytest.approx(1, rel=0.02) and half["method"] == "law"
        # after half the tokens the ladder needs a larger size for this loss
        assert half["rho_equal_tokens"] > 1.2


def test_density_against_two_sizes(trained, exported):
    report = json.loads(
        call("density", "--model", exported, "--reference", trained[0], "--draws", 100, "--json").stdout
    )
    row = load_ladder(trained[0]).frame.query("size == 'd0.05M' and tokens == 20480")
    assert report["bits_per_byte"] == pytest.approx(row["bits_per_byte"].iloc[0], abs=1e-6)
    assert report["method"] == "power" and report["rho"] > 0 and report["rho_equal_compute"] is None


def test_density_on_a_text_of_ones_own(trained, exported, tmp_path):
    text = tmp_path / "mine.txt"
    text.write_text("kan lol min nurt rest somp " * 500)
    lines = call(
        "density", "--model", exported, "--reference", trained[0], "--text", text, "--draws", 100
    ).stdout
    assert "1 documents, 13,500 bytes" in lines and "on your text" in lines and "one document" in lines


def test_of_a_long_text_the_beginning_is_measured(monkeypatch):
    import densing.lab.own_family.model_files as module

    monkeypatch.setattr(module, "MAX_BYTES", 10)
    assert module._first(["12345", "67890"]) == (["12345", "67890"], [])
    kept, notes = module._first(["1234567", "89é!", "more"])
    assert kept == ["1234567", "89"] and notes == ["the first 10 bytes of the text are measured on"]


def test_density_of_a_foreign_model(trained, exported, tmp_path):
    foreign = GPT2LMHeadModel(GPT2Config(vocab_size=300, n_positions=128, n_embd=32, n_layer=1, n_head=2))
    foreign.save_pretrained(tmp_path / "gpt2")
    AutoTokenizer.from_pretrained(exported).save_pretrained(tmp_path / "gpt2")
    found = call("density", "--model", tmp_path / "gpt2", "--reference", trained[0], "--draws", 100).stdout
    assert "GPT2LMHeadModel" in found and "other recipe" in found and "equal tokens   unknown" in found
    assert "controls unknown: give the number of tokens" in found
    assert "windows of 128 tokens" in found


def test_bad_input_is_refused_by_name(trained, exported, corpus, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("x" * 9_999)
    train = ("reference", "train", "--corpus", corpus, "--to", tmp_path / "new")
    for arguments, told in [
        (("density", "--model", tmp_path / "no"), "no such folder"),
        (("density", "--model", exported, "--text", short), "has 9,999 bytes, must be at least 10,000"),
        (("density", "--model", exported, "--reference", tmp_path), "holds no ladder"),
        (("density", "--model", exported, "--budget", "1e6"), "the reference family's is fixed"),
        (("density", "--model", exported, "--reference", trained[0], "--draws", 5), "draws = 5"),
        (("density", "--model", exported, "--reference", trained[0], "--parameters", 0), "n_parameters = 0"),
        (("export", "d7B", "--to", tmp_path / "new"), "must be a safetensors file or one of d0.01M"),
        ((*train, "--sizes", "d7B", "--budgets", "2e4"), "sizes = 'd7B'"),
        ((*train, "--sizes", "d0.05M", "--budgets", "many"), "--budgets = 'many'"),
        (
            (*train, "--sizes", "d0.05M", "--budgets", "1e9", "--vocabulary", 300),
            "unique tokens of the corpus",
        ),
    ]:
        with pytest.raises(InputError, match=told):
            call(*arguments)
    assert not (tmp_path / "new").exists()
