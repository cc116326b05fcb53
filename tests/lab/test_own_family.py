"""A ladder on a reader's own text, and densities against it."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from densing.data import tokenizer_digest
from densing.errors import InputError
from densing.evaluation import text_losses
from densing.lab import (
    PLANNED_LAW,
    Noise,
    TextReference,
    evaluate_density,
    family_plan,
    ladder_law,
    ladder_reference,
    load_ladder,
    measure_density,
    open_checkpoint,
    read_corpus,
    recorded_reference,
    simulate_family,
    train_ladder,
)
from densing.lab.own_family.power_line import fit_power_line, power_density
from densing.lab.yardstick.rows import read_reference

SIZES = ("d0.01M", "d0.05M")
BUDGETS = (12_288, 24_576)
QUIET = Noise(order=0, run=0, branch=0, size=0)


def sentences(rng, n_bytes):
    """Text with something to learn: a word is nearly always followed by one of three."""
    words = np.array([f"{a}{b}{c}" for a in "bdfgklmn" for b in "aeiou" for c in "lnrst"])
    at, found, size = 0, [], 0
    while size < n_bytes:
        at = (
            int((at * 7 + rng.integers(3) + 1) % len(words))
            if rng.random() < 0.9
            else int(rng.integers(len(words)))
        )
        found.append(words[at] + (".\n" if rng.random() < 0.1 else " "))
        size += len(found[-1])
    return "".join(found)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for i in range(30):
        (folder / f"part{i}.txt").write_text(sentences(rng, 25_000))
    lines = [json.dumps({"text": sentences(rng, 1_500)}) for _ in range(200)]
    (folder / "notes.jsonl").write_text("\n".join(lines))
    (folder / "again.md").write_text((folder / "part3.txt").read_text())
    return folder


@pytest.fixture(scope="module")
def ladder(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ladders") / "mine"
    return train_ladder(corpus, folder, sizes=SIZES, budgets=BUDGETS, vocab_size=320, progress=False)


def test_corpus_is_distinct_and_its_split_knows_no_names(corpus, tmp_path):
    found = read_corpus(corpus)
    train, validation = found.n_bytes
    assert found.repeated == 1 and len(found.train) + len(found.validation) == 230
    assert 50_000 <= validation <= 110_000 and train > 900_000
    assert not set(found.train) & set(found.validation)
    moved = tmp_path / "moved"
    shutil.copytree(corpus, moved)
    (moved / "part7.txt").rename(moved / "zz.md")
    again = read_corpus(moved)
    assert set(again.validation) == set(found.validation)
    assert found.digest == read_corpus(corpus).digest


def test_corpora_too_small_are_refused(corpus, tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "a.txt").write_text("word " * 199_999)
    with pytest.raises(InputError, match="has 999,995 bytes of distinct text, must be at least 1,000,000"):
        read_corpus(tmp_path / "small")
    one = tmp_path / "one.txt"
    one.write_text("".join(path.read_text() for path in sorted(corpus.glob("*.txt"))) * 2)
    with pytest.raises(InputError, match="1 documents are too few"):
        read_corpus(one)


def test_a_ladder_holds_rows_law_and_checkpoints(ladder):
    frame = ladder.frame
    assert list(zip(frame["size"], frame["tokens"], strict=True)) == [(s, b) for s in SIZES for b in BUDGETS]
    assert frame["n_parameters"].tolist() == [13_944] * 2 + [55_536] * 2
    losses = frame.set_index(["size", "tokens"])["bits_per_byte"]
    assert (losses.xs(BUDGETS[1], level="tokens") < losses.xs(BUDGETS[0], level="tokens")).all()
    assert (losses < np.log2(320)).all() and (losses > 0.5).all()
    assert {"rate", "n_total", "vocab_size", "tokenizer", "seed", "nats_per_token", "train_seconds"} <= set(
        frame
    )
    again = load_ladder(ladder.folder)
    pd.testing.assert_frame_equal(again.frame, frame)
    assert tokenizer_digest(again.tokenizer) == tokenizer_digest(ladder.tokenizer)


def test_a_checkpoint_of_the_ladder_has_the_recorded_loss(ladder):
    key = ("d0.05M", BUDGETS[1], 0)
    member = open_checkpoint(ladder.checkpoint(*key))
    assert member.about | {"tokenizer": ""} == {
        "size": "d0.05M",
        "seed": 0,
        "tokens": BUDGETS[1],
        "tokenizer": "",
    }
    found = text_losses(member.model, member.tokenizer, ladder.validation)
    recorded = ladder.frame.set_index(["size", "tokens"]).loc[key[:2], "bits_per_byte"]
    assert found.bits_per_byte == pytest.approx(recorded, abs=1e-6)
    assert np.allclose(found.nats, ladder.document_nats[key], atol=1e-3)


def test_a_stopped_ladder_goes_on_where_it_was(corpus, ladder, tmp_path, monkeypatch):
    import densing.lab.own_family.runs as runs

    plan = {"sizes": SIZES, "budgets": BUDGETS, "vocab_size": 320, "progress": False}
    done = []

    def stop_at_third(*arguments, **options):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return text_losses(*arguments, **options)

    monkeypatch.setattr(runs, "text_losses", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        train_ladder(corpus, tmp_path / "mine", **plan)
    monkeypatch.setattr(runs, "text_losses", text_losses)
    branches = {p: p.stat().st_mtime_ns for p in (tmp_path / "mine").rglob("branch-*")}
    assert len(branches) == 3, "the branch whose evaluation was stopped is kept"
    found = train_ladder(corpus, tmp_path / "mine", **plan)
    assert {p: p.stat().st_mtime_ns for p in branches} == branches
    timing = ["train_seconds", "evaluation_seconds"]
    pd.testing.assert_frame_equal(found.frame.drop(columns=timing), ladder.frame.drop(columns=timing))


@pytest.mark.slow
def test_parallel_runs_give_the_same_ladder(corpus, ladder, tmp_path):
    plan = {"sizes": SIZES, "budgets": BUDGETS, "vocab_size": 320}
    found = train_ladder(corpus, tmp_path / "mine", processes=2, progress=False, **plan)
    timing = ["train_seconds", "evaluation_seconds"]
    pd.testing.assert_frame_equal(found.frame.drop(columns=timing), ladder.frame.drop(columns=timing))


def test_a_ladder_is_extended_but_never_mixed(corpus, ladder, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(ladder.folder, folder)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("branch-*")}
    budgets = (BUDGETS[0], 36_864)
    found = train_ladder(
        corpus, folder, sizes=SIZES[:1], budgets=budgets, seeds=2, vocab_size=320, progress=False
    )
    assert len(found.frame) == 4 + 1 + 2 and {p: p.stat().st_mtime_ns for p in before} == before
    first, second = (found.frame.query(f"seed == {s} and tokens == {BUDGETS[0]}") for s in (0, 1))
    assert first["bits_per_byte"].iloc[0] != second["bits_per_byte"].iloc[0]
    plan = {"sizes": SIZES[:1], "budgets": BUDGETS, "progress": False}
    with pytest.raises(InputError, match=r"another vocabulary size \(320, this is 330\)"):
        train_ladder(corpus, folder, vocab_size=330, **plan)
    other = tmp_path / "other"
    shutil.copytree(corpus, other)
    (other / "part0.txt").unlink()
    with pytest.raises(InputError, match="holds a ladder of another corpus"):
        train_ladder(other, folder, vocab_size=320, **plan)
    with FileLock(folder / ".lock"), pytest.raises(InputError, match="another process is training there"):
        train_ladder(corpus, folder, vocab_size=320, **plan)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"sizes": ("d0.05M", "d7B")}, r"sizes = 'd7B': must be one of 'd0.01M', 'd0.05M'"),
        ({"sizes": ()}, "sizes = \\(\\)"),
        (
            {"budgets": (1e6,)},
            r"1,000,000 tokens, must be at most the \d{3},\d{3} unique tokens of the corpus",
        ),
        ({"budgets": (24_576, 12_288)}, "must increase"),
        ({"budgets": (1_024,)}, "budgets = 1024"),
        ({"budgets": (20_000.5,)}, "budgets = 20000.5"),
        ({"seeds": 0}, "seeds = 0"),
        ({"vocab_size": 200}, "vocab_size = 200"),
        ({"device": "cuda:99"}, "device = 'cuda:99'"),
    ],
)
def test_bad_plans_are_refused_before_anything_is_written(corpus, tmp_path, changed, told):
    plan = {"sizes": SIZES, "budgets": BUDGETS, "vocab_size": 320, "progress": False} | changed
    with pytest.raises(InputError, match=told):
        train_ladder(corpus, tmp_path / "new", **plan)
    assert not (tmp_path / "new").exists()


def test_a_folder_with_other_things_is_left_alone(corpus, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="holds other files"):
        train_ladder(corpus, tmp_path, sizes=SIZES, budgets=BUDGETS)
    with pytest.raises(InputError, match="holds no ladder"):
        load_ladder(tmp_path)


def test_repeating_the_corpus_must_be_asked_for(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("densing.lab.own_family.corpus.LARGEST_VALIDATION", 11_000)
    monkeypatch.setattr("densing.lab.own_family.corpus.LEAST_BYTES", 30_000)
    for name in ("part1.txt", "notes.jsonl"):
        lines = (corpus / name).read_text().split("\n")
        (tmp_path / name).write_text("\n".join(lines[:20]))
    plan = {"sizes": SIZES[:1], "vocab_size": 300, "progress": False}
    with pytest.raises(InputError, match=r"must be at most the ([\d,]+) unique tokens") as caught:
        train_ladder(tmp_path, tmp_path.parent / "repeating", budgets=(40_960,), **plan)
    unique = int(caught.value.args[0].split("the ")[1].split()[0].replace(",", ""))
    assert unique < 40_960
    found = train_ladder(
        tmp_path, tmp_path.parent / "repeating", budgets=(12_288, 40_960), allow_repeat=True, **plan
    )
    assert found.frame["bits_per_byte"].is_monotonic_decreasing


def planted(sizes, budgets, law=PLANNED_LAW, seeds=1):
    plan = family_plan(sizes, budgets, seeds, single=0)
    return simulate_family(law, QUIET, plan, metric="bits_per_byte")


FOUR = {"d0.01M": 13_944, "d0.05M": 55_536, "d0.2M": 201_280, "d0.9M": 915_376}
TWO = {"d0.05M": 55_536, "d0.2M": 201_280}


def test_a_power_line_finds_what_was_planted():
    frame = planted(TWO, (1e6, 4e6))
    size, tokens = np.log(frame["n_parameters"]), np.log(frame["tokens"])
    frame["bits_per_byte"] = np.exp(2.0 - 0.12 * size - 0.05 * tokens)
    rows = read_reference(frame, "bits_per_byte")
    line = fit_power_line(rows)
    assert line.theta == pytest.approx([2.0, 0.12, 0.05]) and line.freedom == 1
    loss = float(np.exp(2.0 - 0.12 * np.log(300_000) - 0.05 * np.log(4e6)))
    found = power_density(rows, loss, 150_000, reference_tokens=4e6, tokens=1e6)
    assert found.rho == pytest.approx(2) and not found.extrapolated and found.method == "power"
    # read at a quarter of the tokens the same loss takes a size larger by 4^(0.05 / 0.12)
    assert found.rho_equal_tokens.value == pytest.approx(2 * 4 ** (0.05 / 0.12))
    assert np.isnan(found.rho_equal_compute.value)
    assert power_density(rows, loss * 0.7, 1e5, reference_tokens=4e6).extrapolated


def test_a_power_line_of_noisy_runs_covers_the_truth():
    rng, inside = np.random.default_rng(1), 0
    frame = pd.concat([planted(TWO, (1e6, 4e6)).assign(seed=s) for s in range(2)], ignore_index=True)
    truth = np.exp(2.0 - 0.12 * np.log(frame["n_parameters"]) - 0.05 * np.log(frame["tokens"]))
    for case in range(300):
        frame["bits_per_byte"] = truth * np.exp(0.004 * rng.standard_normal(len(frame)))
        own = np.exp(2.0 - 0.12 * np.log(2e5) - 0.05 * np.log(4e6) + 0.004 * rng.standard_normal())
        found = power_density(
            read_reference(frame, "bits_per_byte"), own, 1e5, reference_tokens=4e6, draws=400, seed=case
        )
        inside += found.lower <= 2 <= found.upper
    assert 0.91 <= inside / 300 <= 0.985


def test_ladders_that_say_nothing_about_size():
    rows = read_reference(planted({"d0.05M": 55_536}, (1e6, 4e6)), "bits_per_byte")
    with pytest.raises(InputError, match="has one size"):
        fit_power_line(rows)
    frame = planted(TWO, (1e6,))
    exact = power_density(read_reference(frame, "bits_per_byte"), 2.0, 1e5, reference_tokens=1e6)
    assert (
        np.isfinite(exact.rho)
        and np.isnan(exact.lower)
        and any("no interval" in note for note in exact.notes)
    )
    frame["bits_per_byte"] = [1.9, 2.0]
    with pytest.raises(InputError, match="does not fall with size"):
        fit_power_line(read_reference(frame, "bits_per_byte"))


def test_the_law_of_a_ladder(ladder):
    found = ladder_law(ladder)
    assert found["kind"] == "power" and set(found["params"]) == set("abc")
    assert found["reference_tokens"] == BUDGETS[1]
    assert json.loads((ladder.folder / "law.json").read_text()) == found


@pytest.fixture
def member(ladder):
    return open_checkpoint(ladder.checkpoint("d0.05M", BUDGETS[1], 0))


@pytest.fixture
def losses(member, ladder):
    return text_losses(member.model, member.tokenizer, ladder.validation)


def reference_through(losses, texts, n_parameters, rho, sizes=FOUR, budgets=(1e6, 2e6, 4e6), documents=True):
    """A planted ladder on which a model of these losses has the density `rho`."""
    frame = planted(sizes, budgets)
    at = sum(
        (PLANNED_LAW["E"], PLANNED_LAW["A"] / (rho * n_parameters) ** PLANNED_LAW["alpha"]),
        PLANNED_LAW["B"] / 4e6 ** PLANNED_LAW["beta"],
    )
    frame["bits_per_byte"] *= losses.bits_per_byte / at
    largest = frame[frame["tokens"] == max(budgets)].set_index("size")["bits_per_byte"]
    nats = {size: losses.nats[None] * value / losses.bits_per_byte for size, value in largest.items()}
    return TextReference("planted", frame, "bits_per_byte", 4_000_000, texts, nats if documents else None)


def test_density_of_a_planted_model_is_what_was_planted(member, losses, ladder):
    reference = reference_through(losses, ladder.validation, 55_536, 2.0)
    found = measure_density(member.model, member.tokenizer, reference=reference, tokens=4e6, draws=200)
    assert found.density.rho == pytest.approx(2, rel=2e-3) and not found.density.extrapolated
    assert found.density.rho_equal_tokens.value == pytest.approx(2, rel=0.02)
    assert np.isfinite(found.density.rho_equal_compute.value)
    # without noise, and with documents on which all sizes agree, nothing is left to be uncertain of
    assert found.density.half_width < 0.02
    unknown = measure_density(member.model, member.tokenizer, reference=reference, draws=200)
    assert np.isnan(unknown.density.rho_equal_tokens.value) and any(
        "controls unknown" in n for n in unknown.notes
    )
    half = evaluate_density(
        member.model, member.tokenizer, reference=reference, n_parameters=111_072, draws=200
    )
    assert half.rho == pytest.approx(1, rel=2e-3)


def test_documents_widen_the_interval_when_models_disagree_on_them(member, losses, ladder):
    reference = reference_through(losses, ladder.validation, 55_536, 1.5)
    paired = measure_density(member.model, member.tokenizer, reference=reference, draws=400).density
    rng = np.random.default_rng(0)
    moved = {s: n * np.exp(0.3 * rng.standard_normal(n.shape)) for s, n in reference.document_nats.items()}
    other = TextReference("other", reference.frame, "bits_per_byte", 4_000_000, reference.texts, moved)
    apart = measure_density(member.model, member.tokenizer, reference=other, draws=400).density
    assert apart.half_width > 3 * paired.half_width


def test_far_from_the_ladder_is_flagged(member, losses, ladder):
    reference = reference_through(losses, ladder.validation, 55_536, 60.0)
    found = measure_density(member.model, member.tokenizer, reference=reference, draws=200)
    assert found.density.extrapolated and any(note.startswith("extrapolated") for note in found.notes)


def test_a_member_of_a_small_ladder_has_density_one(ladder, member):
    reference = ladder_reference(ladder)
    assert reference.reference_tokens == BUDGETS[1] and len(reference.texts) == len(ladder.validation)
    found = measure_density(member.model, member.tokenizer, reference=reference, tokens=BUDGETS[1])
    assert found.density.rho == pytest.approx(1, rel=0.5) and found.density.method == "power"
    assert any("power law without floor" in note for note in found.notes)
    with pytest.raises(InputError, match="reference_tokens = 5: must be one of 12288, 24576"):
        ladder_reference(ladder, reference_tokens=5)


def test_a_ladder_is_measured_again_on_other_texts(ladder):
    texts = ladder.validation[:8] + ["Something else entirely, twice.\n" * 400]
    reference = ladder_reference(ladder, texts)
    assert len(reference.frame) == 4 and reference.texts == texts
    member = open_checkpoint(ladder.checkpoint("d0.01M", BUDGETS[0], 0))
    expected = text_losses(member.model, member.tokenizer, texts).bits_per_byte
    row = reference.frame.query(f"size == 'd0.01M' and tokens == {BUDGETS[0]}")
    assert row["bits_per_byte"].iloc[0] == pytest.approx(expected)
    assert all(nats.shape == (1, 9) for nats in reference.document_nats.values())


def test_the_recorded_family_is_the_default(member, losses, ladder, monkeypatch):
    """On planted rows in the recorded family's place."""
    import densing.lab.own_family.text_density as module

    planned = reference_through(losses, ladder.validation, 55_536, 1.0)
    frame = planned.frame.rename(columns={"bits_per_byte": "bits_per_byte_val_b"})
    items = pd.DataFrame(
        [
            {"size": size, "seed": 0, "tokens": tokens, "item": f"val_b:{k}", "log_p": -nats}
            for size, rows in planned.document_nats.items()
            for tokens in (2_000_000, 4_000_000)
            for k, nats in enumerate(rows[0])
        ]
    )
    texts = [type("Document", (), {"text": text}) for text in ladder.validation]
    monkeypatch.setattr(module, "load_reference_runs", lambda: frame)
    monkeypatch.setattr(module, "load_reference_items", lambda texts: items)
    monkeypatch.setattr(module, "documents", lambda split: texts)
    found = measure_density(member.model, member.tokenizer, draws=200)
    assert found.density.rho == pytest.approx(1, rel=2e-3)
    assert found.reference.name == "the reference family on val_b"
    monkeypatch.setattr(module, "checkpoint_path", lambda *member: ladder.folder / "absent")
    with pytest.raises(InputError, match="checkpoints are not here"):
        recorded_reference(ladder.validation)
    files = dict(zip(FOUR, [(s, b) for s in SIZES for b in BUDGETS], strict=True))
    monkeypatch.setattr(module, "SEEDS", (0,))
    monkeypatch.setattr(
        module, "checkpoint_path", lambda size, *rest: ladder.checkpoint(*files.get(size, ("none", 0)), 0)
    )
    monkeypatch.setattr(
        module, "open_checkpoint", lambda size, **rest: open_checkpoint(ladder.checkpoint(*files[size], 0))
    )
    on_text = recorded_reference(ladder.validation)
    assert on_text.noise is not None and on_text.frame["size"].tolist() == list(FOUR)
    assert np.allclose(on_text.frame["bits_per_byte"], ladder.frame["bits_per_byte"], atol=1e-6)


def test_bad_checkpoints_are_refused(ladder, tmp_path):
    with pytest.raises(InputError, match="must be a safetensors file or one of d0.01M"):
        open_checkpoint("d7B")
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a readable safetensors file"):
        open_checkpoint(junk)
    alone = tmp_path / "a" / "b" / "c" / "branch-12288.safetensors"
    alone.parent.mkdir(parents=True)
    shutil.copy(ladder.checkpoint("d0.01M", BUDGETS[0], 0), alone)
    with pytest.raises(InputError, match="no tokenizer.json beside branch-12288.safetensors"):
        open_checkpoint(alone)
    wrong = train_tokenizer(tmp_path / "wrong.json")
    with pytest.raises(InputError, match="was trained with another tokenizer"):
        open_checkpoint(alone, tokenizer=wrong)
    named = open_checkpoint(alone, tokenizer=str(ladder.folder / "tokenizer.json"))
    assert named.about["size"] == "d0.01M" and "seed" not in named.about


def train_tokenizer(path):
    from densing.data import train_bpe

    train_bpe([sentences(np.random.default_rng(5), 20_000)], 310).save(str(path))
    return str(path)
