import numpy as np
import pandas as pd
import pytest
import torch

from densing.data import load_tokenizer
from densing.evaluation import (
    CHOICE_FAMILIES,
    GENERATION_FAMILIES,
    choice_items,
    evaluate,
    exact_pass_probability,
    summarize,
)
from densing.evaluation.capability.skill_questions import graded, problems
from densing.models import Decoder, DecoderConfig

SKILLED = ("arith_choice", "fact_recall", "add", "copy", "compare", "steps", "steps_cot")
KEY = ["item", "family", "grade", "kind", "group", "tokens"]
KNOWN, UNKNOWN = -np.log(0.95), -np.log(0.05 / 1023)


@pytest.fixture(scope="module")
def tokenizer(built_corpus):
    return load_tokenizer("bpe-1024")


@pytest.fixture(scope="module")
def model(tokenizer):
    return Decoder(DecoderConfig(tokenizer.get_vocab_size(), 16, 1, 2), seed=0)


class Knowing(torch.nn.Module):
    """Knows by heart an answer to each of some questions; of other questions it knows nothing."""

    def __init__(self, tokenizer, answers: dict[str, str]):
        super().__init__()
        self.mark = tokenizer.token_to_id("<ans>")

        def ids(text):
            return tuple(tokenizer.encode(text, add_special_tokens=False).ids)

        self.answers = {
            ids(f"<doc>{prompt}<ans>"): ids(f"{answer}<end>") for prompt, answer in answers.items()
        }

    def token_losses(self, windows):
        losses = torch.full(windows[:, 1:].shape, UNKNOWN, dtype=torch.float64)
        for i, row in enumerate(windows.tolist()):
            start = row.index(self.mark) + 1
            for k, token in enumerate(self.answers.get(tuple(row[:start]), ())):
                if start + k < len(row) and row[start + k] == token:
                    losses[i, start - 1 + k] = KNOWN
        return losses


def known_answers(items: int) -> list[tuple[str, int, str, str]]:
    """Family, grade, question and right answer of the battery's items."""
    found = []
    for family in SKILLED:
        if family in CHOICE_FAMILIES:
            for item in choice_items(family, items):
                answer = item.choices[item.correct].removesuffix("<end>")
                found.append((family, item.grade, item.prompt.removesuffix("<ans>"), answer))
        else:
            for grade, own in battery_problems(family, items).items():
                found += [(family, grade, problem.prompt, problem.answer) for problem in own]
    return found


def battery_problems(family, items):
    from densing.data import SKILLS

    return graded(lambda grade, n: problems(family, grade, n, 0), SKILLS[family].grades, items)


def test_who_knows_the_answers_is_right_and_blind_to_permuted_questions(tokenizer):
    known = known_answers(60)
    model = Knowing(tokenizer, {prompt: answer for *_, prompt, answer in known})
    frame = evaluate(model, tokenizer, SKILLED, items=60)
    generated = frame[frame["kind"] == "generation"]
    assert np.allclose(generated["log_p"], -KNOWN * generated["tokens"])
    summary = summarize(frame).set_index(["family", "grade"])
    pooled = summary.xs(-1, level="grade")
    for family in ("add", "copy", "compare", "steps"):
        assert pooled.loc[family, "score"] > 0.2 and pooled.loc[family, "resolved"]
        assert pooled.loc[family, "blind"] < 0.5 * pooled.loc[family, "score"]
        assert pooled.loc[family, "conditional_loss"] == pytest.approx(KNOWN)
    for family in ("arith_choice", "fact_recall"):
        assert pooled.loc[family, "accuracy_raw"] == 1 and pooled.loc[family, "p_choices"] > 0.95
    written = pooled.loc["steps_cot"]
    assert np.isnan(written["score"]) and not written["resolved"]
    assert written["conditional_loss"] == pytest.approx(KNOWN)


def test_fake_catcher_answers_shuffled_across_items_earn_the_blind_floor(tokenizer):
    known = pd.DataFrame(known_answers(200), columns=["family", "grade", "prompt", "answer"])
    shuffled = known.groupby(["family", "grade"])["answer"].transform(
        lambda answers: np.roll(answers.to_numpy(), len(answers) // 2)
    )
    model = Knowing(tokenizer, dict(zip(known["prompt"], shuffled, strict=True)))
    frame = evaluate(model, tokenizer, SKILLED, items=200)
    summary = summarize(frame)
    generated = summary[(summary["kind"] == "generation") & (summary["grade"] >= 0)]
    assert generated["resolved"].mean() < 0.15 and len(generated) > 20
    difference = generated["score"] - generated["blind"]
    assert np.abs(difference).mean() < 0.05, "answers that chance made right, on either side"
    large = generated[(generated["family"] == "copy") & (generated["grade"] >= 4)]
    assert large["score"].max() < 1e-3
    for family in ("arith_choice", "fact_recall"):
        row = summary[(summary["family"] == family) & (summary["grade"] == -1)].iloc[0]
        assert row["accuracy_raw"] == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / row["n"]))


def test_more_items_leave_the_first_ones_as_they_were(model, tokenizer):
    families = ("doc_next", "code_close", "fact_hop", "arith_choice", "copy", "count")
    few, more = (evaluate(model, tokenizer, families, items=n).set_index("item") for n in (20, 44))
    assert few.index.is_unique and more.index.is_unique and set(few.index) < set(more.index)
    same = more.loc[few.index]
    choices = few["kind"] == "choice"
    assert np.allclose(few["log_p_2"][choices], same["log_p_2"][choices], atol=1e-4)
    assert (few["correct"][choices] == same["correct"][choices]).all()
    assert np.allclose(few["log_p"][~choices], same["log_p"][~choices], atol=1e-4)
    other = evaluate(model, tokenizer, ("copy",), items=20, seed=1)
    assert not set(other["item"]) & set(few.index)


def test_columns_agree_with_each_other_and_with_the_items(model, tokenizer):
    frame = evaluate(model, tokenizer, ("fact_recall", "sort", "steps_cot"), items=24, choices=2)
    assert frame.columns[: len(KEY)].tolist() == KEY
    assert frame.groupby("family")["kind"].first().to_dict() == {
        "fact_recall": "choice", "sort": "generation", "steps_cot": "written"
    }  # fmt: skip
    choice = frame[frame["kind"] == "choice"]
    assert "log_p_2" not in choice and (choice["grade"] == 1).all()
    items = {item.item: item for item in choice_items("fact_recall", 24, choices=2)}
    for row in choice.itertuples():
        item = items[row.item]
        assert row.correct == item.correct and row.group == item.group
        ids = [
            tokenizer.encode(text, add_special_tokens=False).ids
            for text in ("<doc>" + item.prompt, *item.choices)
        ]
        log_p = exact_pass_probability(model, [ids[0]] * 2, ids[1:], log=True)
        assert np.allclose([row.log_p_0, row.log_p_1], log_p, atol=1e-4)
        assert [row.tokens_0, row.tokens_1] == [len(ids[1]), len(ids[2])]
        assert row.bytes_0 == len(item.choices[0]) - len("<end>")
        neutral = tokenizer.encode("<doc><ans>", add_special_tokens=False).ids
        floor = exact_pass_probability(model, [neutral] * 2, ids[1:], log=True)
        assert np.allclose([row.log_p_neutral_0, row.log_p_neutral_1], floor, atol=1e-4)
        difference = log_p - floor
        assert row.accuracy_neutral == (np.argmax(difference) == item.correct)
        other, right = log_p[1 - item.correct], log_p[item.correct]
        assert row.p_choices == pytest.approx(1 / (1 + np.exp(other - right)), rel=1e-4)
    generated = frame[frame["kind"] == "generation"]
    assert generated[["log_p", "blind_log_p"]].notna().all(axis=None)
    assert frame.loc[frame["kind"] == "written", "blind_log_p"].isna().all()


def test_graded_fills_up_from_other_grades():
    stock = {1: 3, 2: 100, 3: 10}
    taken = graded(lambda grade, n: list(range(stock[grade]))[:n], (1, 2, 3), 60)
    assert {grade: len(own) for grade, own in taken.items()} == {1: 3, 2: 47, 3: 10}
    everything = graded(lambda grade, n: list(range(stock[grade]))[:n], (1, 2, 3), 500)
    assert sum(map(len, everything.values())) == 113


def test_an_item_longer_than_the_context_is_refused_by_name(tokenizer):
    short = Decoder(DecoderConfig(tokenizer.get_vocab_size(), 16, 1, 2, context=16))
    with pytest.raises(ValueError, match=r"copy-8-[0-9a-f]{16} has 20 tokens.* context 16"):
        evaluate(short, tokenizer, ("copy",), items=20)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"families": ("doc_last",)}, "families|doc_last"),
        ({"families": ()}, "non-empty"),
        ({"items": 19}, "items = 19"),
        ({"choice_items": 5_001}, "choice_items = 5001"),
        ({"choices": 3}, "choices = 3"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_bad_values(model, tokenizer, given, message):
    with pytest.raises(ValueError, match=message):
        evaluate(model, tokenizer, **given)


def test_a_tokenizer_without_the_marks_is_refused(model):
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    with pytest.raises(ValueError, match="special token <doc>"):
        evaluate(model, Tokenizer(BPE()), ("add",))


def rows(log_p, blind, **fields):
    n = len(log_p)
    frame = {"item": [f"add-1-{i}" for i in range(n)], "family": "add", "grade": 1, "kind": "generation"}
    return pd.DataFrame(frame | {"tokens": 2, "log_p": log_p, "blind_log_p": blind} | fields)


def test_summary_by_hand():
    frame = pd.concat(
        [
            rows(np.log([0.5, 0.3]), np.log([0.1, 0.1])),
            rows([-400.0, -401.0], [-401.0, -402.0], item=["x", "y"], grade=2),
            rows([-1.0], [np.nan], item=["z"], grade=3),
        ]
    )
    summary = summarize(frame, draws=200).set_index("grade")
    assert summary.index.tolist() == [1, 2, 3, -1] and summary["n"].tolist() == [2, 2, 1, 5]
    assert summary.loc[1, ["score", "blind", "chance"]].tolist() == pytest.approx([0.4, 0.1, 0])
    assert summary.loc[1, "log_ratio"] == pytest.approx(np.log(4))
    assert summary.loc[1, "log_ratio_lower"] == pytest.approx(np.log(3))
    assert summary.loc[1, "log_ratio_upper"] == pytest.approx(np.log(5))
    assert summary.loc[1, "conditional_loss"] == pytest.approx(-np.log(0.15) / 4)
    assert summary.loc[2, "log_ratio"] == pytest.approx(1)  # rates of 1e-174
    assert np.isnan(summary.loc[3, "log_ratio"]) and not summary.loc[3, "resolved"]
    assert summary.loc[[1, 2, -1], "resolved"].all()
    assert summary.loc[-1, "score"] == pytest.approx((0.8 + np.exp(-1)) / 5)


def test_a_rate_that_is_not_above_its_blind_rate_is_not_resolved():
    rng = np.random.default_rng(0)
    log_p, blind = -rng.exponential(3, size=(2, 300))
    assert not summarize(rows(log_p, blind)).iloc[0]["resolved"]
    assert summarize(rows(log_p + 1, blind)).iloc[0]["resolved"]


def test_summary_of_choices_by_hand():
    frame = pd.DataFrame(
        {
            "item": ["a", "b", "c", "d"], "family": "fact_recall", "grade": 1, "kind": "choice", "tokens": [1, 2, 1, 1],
            "correct": [0, 1, 0, 1], "log_p_0": [-1.0, -2, -1, -5], "log_p_1": [-3.0, -2.5, -4, -1],
            "log_p_neutral_0": -1.0, "log_p_neutral_1": -2.0,
            "p_vocab": 0.1, "p_choices": 0.6, "p_choices_blind": 0.5, "brier": 0.3,
            "accuracy_raw": [1.0, 0, 1, 1], "accuracy_byte": 0.0, "accuracy_neutral": 1.0, "accuracy_blind": [1.0, 0, 1, 0],
        }
    )  # fmt: skip
    row = summarize(frame).iloc[0]
    assert row["score"] == 0.75 and row["blind"] == 0.5 and row["chance"] == 0.5
    assert row["accuracy_neutral"] == 1 and row["accuracy_byte"] == 0 and row["p_choices_blind"] == 0.5
    assert row["conditional_loss"] == pytest.approx((1 + 1.25 + 1 + 1) / 4)
    assert row["log_ratio"] == pytest.approx(np.log(1.5))


def test_summaries_refuse_rows_of_two_models():
    frame = rows([-1.0, -2.0], [-2.0, -3.0])
    with pytest.raises(ValueError, match="'add-1-0' stands twice"):
        summarize(pd.concat([frame, frame]))
    with pytest.raises(ValueError, match="missing column 'kind'"):
        summarize(frame.drop(columns="kind"))


@pytest.mark.slow
def test_the_whole_battery_is_cheap_enough(tokenizer):
    """1.2 million tokens forward for 2,000 questions a choice family and 500 problems; here a fifth of these."""

    class Length(torch.nn.Module):
        read = 0

        def token_losses(self, windows):
            self.read += windows[:, 1:].numel()
            return torch.ones(windows[:, 1:].shape)

    model = Length()
    frame = evaluate(model, tokenizer, items=100, choice_items=400)
    assert set(frame["family"]) == {*CHOICE_FAMILIES, *GENERATION_FAMILIES}
    assert frame["item"].is_unique and len(frame) > 6 * 400 + 10 * 95
    assert model.read < 300_000
