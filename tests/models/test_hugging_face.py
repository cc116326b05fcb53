"""Models of the transformers library in the book's interface, and the book's models in theirs."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertLMHeadModel,
    GPT2Config,
    GPT2LMHeadModel,
)

from densing.data import train_bpe
from densing.errors import InputError
from densing.evaluation import evaluate
from densing.models import Decoder, DecoderConfig, HuggingFaceDecoder, export_decoder, transformers_tokenizer

WORDS = "river stone garden winter letter window morning table silver answer number bright follow".split()
TEXTS = [f"The {a} of every {b} is {len(a) * len(b)} or less,\nand {b}s {a}.\n" for a in WORDS for b in WORDS]
SHAPE = DecoderConfig(360, 48, 2, 2, context=256)


def stirred(model, seed=0):
    """Weights far from the start, where every term of a model matters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe(TEXTS, 360)


@pytest.fixture(scope="module")
def model():
    return stirred(Decoder(SHAPE, seed=1))


@pytest.fixture(scope="module")
def exported(model, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "tiny"
    return export_decoder(model, tokenizer, folder, {"size": "tiny", "tokens": 1000})


@pytest.fixture
def copied(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "copy")


def windows(count=5, length=100, seed=3):
    return torch.randint(0, 360, (count, length), generator=torch.Generator().manual_seed(seed))


def test_export_is_the_same_function(model, exported):
    theirs = AutoModelForCausalLM.from_pretrained(exported, local_files_only=True)
    tokens = windows()
    with torch.inference_mode():
        ours, logits = model(tokens), theirs(tokens).logits
        assert float((ours - logits).abs().max()) < 1e-5
        assert float(ours.std()) > 0.5  # not the near-constant logits of a fresh model
        assert abs(float(model.loss(tokens)) - float(theirs(tokens, labels=tokens).loss)) < 1e-6
    assert type(theirs).__name__ == "LlamaForCausalLM"


def test_export_generates_until_a_document_ends(exported, tokenizer):
    theirs = AutoModelForCausalLM.from_pretrained(exported, local_files_only=True)
    wrapped = AutoTokenizer.from_pretrained(exported, local_files_only=True)
    prompt = wrapped("The river of", return_tensors="pt")
    assert prompt.input_ids[0, 0] == tokenizer.token_to_id("<doc>")
    torch.manual_seed(0)
    out = theirs.generate(**prompt, max_new_tokens=40, do_sample=True)
    assert prompt.input_ids.shape[1] < out.shape[1] <= prompt.input_ids.shape[1] + 40
    ends = {tokenizer.token_to_id("<doc>"), tokenizer.token_to_id("<end>")}
    assert set(theirs.generation_config.eos_token_id) == ends
    new = out[0, prompt.input_ids.shape[1] :].tolist()
    assert not ends & set(new[:-1]), "generation goes on behind an end"
    assert wrapped.pad_token == "<pad>" and theirs.generation_config.pad_token_id == wrapped.pad_token_id


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60))
def test_exported_tokenizer_gives_the_same_ids_and_the_text_back(tokenizer, text):
    wrapped = transformers_tokenizer(tokenizer, 256)
    ids = wrapped(text, add_special_tokens=False).input_ids
    assert ids == tokenizer.encode(text, add_special_tokens=False).ids
    assert wrapped(text).input_ids == [tokenizer.token_to_id("<doc>"), *ids]
    if not any(mark in text for mark in ("<doc>", "<pad>", "<ans>", "<end>")):
        assert wrapped.decode(wrapped(text).input_ids, skip_special_tokens=True) == text


def test_specials_survive_the_folder(exported, tokenizer):
    wrapped = AutoTokenizer.from_pretrained(exported, local_files_only=True)
    text = "add 3 4 <ans>7<end>\n  x = 12  # naïve\n"
    assert (
        wrapped(text, add_special_tokens=False).input_ids
        == tokenizer.encode(text, add_special_tokens=False).ids
    )
    assert wrapped.convert_tokens_to_ids(["<doc>", "<pad>", "<ans>", "<end>", "<r0>"]) == [0, 1, 2, 3, 4]
    assert len(wrapped) == 360
    about = json.loads((exported / "densing.json").read_text())
    assert about["tokens"] == 1000 and about["n_parameters"] == SHAPE.n_parameters


def test_a_loaded_export_has_the_losses_of_the_decoder(model, exported):
    loaded = HuggingFaceDecoder.from_folder(exported)
    assert loaded.config.context == 256 and loaded.config.vocab_size == 360
    assert loaded.config.n_parameters == SHAPE.n_parameters
    assert loaded.config.n_embedding == SHAPE.n_embedding
    with torch.inference_mode():
        ours, theirs = model.token_losses(windows()), loaded.token_losses(windows())
        assert theirs.shape == (5, 99) and float((ours - theirs).abs().max()) < 1e-5
        assert float(loaded.loss(windows())) == pytest.approx(float(model.loss(windows())), abs=1e-6)


def test_the_battery_reads_an_export_like_the_decoder(model, exported, tokenizer):
    loaded = HuggingFaceDecoder.from_folder(exported)
    ours = evaluate(model, tokenizer, ["copy", "add"], items=20)
    theirs = evaluate(loaded, loaded.tokenizer.backend_tokenizer, ["copy", "add"], items=20)
    assert len(ours) == 40 and (ours["item"] == theirs["item"]).all()
    assert np.allclose(ours["log_p"], theirs["log_p"], atol=1e-4) and ours["log_p"].std() > 1


def test_large_batches_are_cut(exported, monkeypatch):
    loaded = HuggingFaceDecoder.from_folder(exported)
    with torch.inference_mode():
        whole = loaded.token_losses(windows())
        monkeypatch.setattr("densing.models.hugging_face._LOGITS", 99 * 360 * 2)
        seen = []
        monkeypatch.setattr(
            loaded, "forward", lambda t: seen.append(len(t)) or loaded.model(input_ids=t).logits
        )
        assert torch.allclose(loaded.token_losses(windows()), whole, atol=1e-5)
    assert seen == [2, 2, 1]


def gpt2(**options):
    return stirred(
        GPT2LMHeadModel(
            GPT2Config(n_layer=2, n_head=2, n_embd=32, **{"vocab_size": 360, "n_positions": 128} | options)
        )
    )


def test_another_architecture_is_counted_and_read(tokenizer, tmp_path):
    foreign = gpt2()
    foreign.save_pretrained(tmp_path / "gpt2")
    transformers_tokenizer(tokenizer, 128).save_pretrained(tmp_path / "gpt2")
    loaded = HuggingFaceDecoder.from_folder(tmp_path / "gpt2")
    block = 4 * 32 * 32 + 8 * 32 * 32 + 3 * 32 + 32 + 4 * 32 + 32 + 4 * 32  # matrices, biases, two norms
    assert loaded.config.n_parameters == 2 * block + 2 * 32
    assert loaded.config.n_embedding == (360 + 128) * 32  # tied head and positions, counted once
    assert (loaded.config.architecture, loaded.config.context) == ("GPT2LMHeadModel", 128)
    with torch.inference_mode():
        expected = foreign(windows(), labels=windows()).loss
        assert float(loaded.loss(windows())) == pytest.approx(float(expected), abs=1e-6)


def test_weights_in_several_files(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "shards")
    (folder / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(exported).save_pretrained(folder, max_shard_size="60KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1 and not (folder / "model.safetensors").exists()
    loaded, whole = HuggingFaceDecoder.from_folder(folder), HuggingFaceDecoder.from_folder(exported)
    with torch.inference_mode():
        assert torch.equal(loaded(windows()), whole(windows()))
    shards[1].unlink()
    with pytest.raises(InputError, match=f"{shards[1].name} is missing"):
        HuggingFaceDecoder.from_folder(folder)


def test_models_that_see_the_future_are_refused():
    bert = BertLMHeadModel(
        BertConfig(
            vocab_size=360, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
        )
    )
    with pytest.raises(InputError, match="no causal language model"):
        HuggingFaceDecoder(stirred(bert))


def test_short_contexts_are_refused(tokenizer):
    with pytest.raises(InputError, match="context = 63"):
        HuggingFaceDecoder(gpt2(n_positions=63))
    assert HuggingFaceDecoder(gpt2(n_positions=64)).config.context == 64


def test_nan_weights_are_refused_by_name(copied):
    weights = load_file(copied / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 2] = np.nan
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"weight model\.layers\.1\.mlp\.up_proj\.weight has nan"):
        HuggingFaceDecoder.from_folder(copied)


def test_missing_weights_are_refused_not_made_up(copied):
    weights = load_file(copied / "model.safetensors")
    del weights["model.layers.0.self_attn.q_proj.weight"]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 tensors .* model\.layers\.0\.self_attn\.q_proj\.weight"):
        HuggingFaceDecoder.from_folder(copied)


def drop(*names):
    def change(folder):
        for name in names:
            (folder / name).unlink()

    return change


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def pickled(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def configured(**keys):
    def change(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | keys))

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (shutil.rmtree, "no such folder"),
        (drop("config.json"), "no config.json"),
        (write("config.json", b"{"), "config.json cannot be read"),
        (drop("tokenizer.json"), "no tokenizer in the folder"),
        (write("tokenizer.json", b"{}"), "its tokenizer cannot be loaded"),
        (drop("model.safetensors"), "no model.safetensors"),
        (pickled, r"no model.safetensors in the folder \(found pytorch_model.bin"),
        (
            write("model.safetensors", b"\x80\x04nothing"),
            "model.safetensors is not a readable safetensors file",
        ),
        (
            configured(model_type="no_such", auto_map={"AutoConfig": "code.Config"}),
            "its configuration cannot be",
        ),
        (configured(quantization_config={"bits": 4}), "its weights are quantised"),
        (configured(max_position_embeddings=32), "context = 32"),
        (write("adapter_config.json", b"{}"), "holds an adapter"),
    ],
)
def test_bad_folders_are_refused(copied, change, told):
    change(copied)
    with pytest.raises(InputError, match=told):
        HuggingFaceDecoder.from_folder(copied)


def test_devices_of_other_machines_are_refused(exported):
    with pytest.raises(InputError, match="device = 'cuda:99'"):
        HuggingFaceDecoder.from_folder(exported, device="cuda:99")


def test_code_in_the_folder_is_never_run(copied):
    (copied / "code.py").write_text("raise SystemExit('ran')\n")
    configured(
        model_type="own", auto_map={"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    )(copied)
    with pytest.raises(InputError, match="its configuration cannot be loaded"):
        HuggingFaceDecoder.from_folder(copied)


def test_bad_exports_are_refused(model, tokenizer, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="holds other files"):
        export_decoder(model, tokenizer, tmp_path / "full")
    with pytest.raises(InputError, match="is a file"):
        export_decoder(model, tokenizer, tmp_path / "full" / "thesis.txt")
    with pytest.raises(InputError, match="has 300 entries, the model 360"):
        export_decoder(model, train_bpe(TEXTS, 300), tmp_path / "new")
    first = export_decoder(model, tokenizer, tmp_path / "again", {"seed": 1})
    assert export_decoder(model, tokenizer, first, {"seed": 2}) == first
