"""The small encoders are read as published ones are, their words mean something, and their bytes repeat."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, CLIPTextModelWithProjection, DebertaV2ForMaskedLM, RobertaModel

from models.backbones.frozenbilm import library_names
from stages.worlds.encoders import write_encoders
from stages.worlds.language import ACTORS, OBJECTS, VERBS

TEXTS = [("what does the man show", "the ball"), ("why does the woman leave the box", "because the man showed the cup")]
LOCAL = {"local_files_only": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, asked_world):
    root = tmp_path_factory.mktemp("encoders")
    write_encoders(root, asked_world.asking.encoders, asked_world.wording, TEXTS)
    return root


@pytest.fixture(scope="module")
def clip(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder / "clip_text", **LOCAL)
    model = CLIPTextModelWithProjection.from_pretrained(folder / "clip_text", **LOCAL).eval()

    def embed(*texts):
        with torch.no_grad():
            return torch.nn.functional.normalize(
                model(**tokenizer(list(texts), padding=True, return_tensors="pt")).text_embeds, dim=1
            ).numpy()

    return embed


def test_different_words_have_different_vectors_and_forms_of_a_verb_the_same(clip):
    words = ["", *ACTORS[:3], *OBJECTS[:12], *(verb.base for verb in VERBS[:8])]
    vectors = clip(*words)
    alike = vectors @ vectors.T - np.eye(len(words))
    assert alike.max() < 0.95
    show, showed, leave = clip("show", "showed", "leave")
    assert show @ showed > 0.99 > show @ leave + 0.1


def test_the_word_order_and_every_word_of_a_sentence_count(clip):
    first, other_actor, other_verb, again = clip(
        "what does the man show", "what does the woman show", "what does the man leave", "what does the man show"
    )
    assert first @ again == pytest.approx(1, abs=1e-5)
    assert first @ other_actor < 0.98
    assert first @ other_verb < 0.98


def test_padding_does_not_change_a_vector(clip):
    (alone,) = clip("the ball")
    together = clip("the ball", "why does the woman leave the box")[0]
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_a_word_of_the_world_is_one_token_and_any_other_text_is_spelled(folder):
    for name in ("clip_text", "roberta", "deberta"):
        tokenizer = AutoTokenizer.from_pretrained(folder / name, **LOCAL)
        assert len(tokenizer.tokenize("why does the woman leave the lamp")) == 7
        assert len(tokenizer.tokenize("zebra")) > 3
        assert tokenizer.unk_token_id not in tokenizer("wear a shoe").input_ids[1:-1]


def test_roberta_has_the_published_marks_and_reads_text(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder / "roberta", **LOCAL)
    model = RobertaModel.from_pretrained(folder / "roberta", add_pooling_layer=False, **LOCAL)
    pair = tokenizer("what does the man show </s> the ball", padding="max_length", max_length=38, return_tensors="pt")
    ids = pair.input_ids[0]
    assert (tokenizer.pad_token_id, int(ids[0]), int((ids == tokenizer.sep_token_id).sum())) == (1, 0, 2)
    assert model(**pair).last_hidden_state.shape == (1, 38, model.config.hidden_size)


def test_deberta_fills_in_a_mask_and_knows_yes_and_no(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder / "deberta", **LOCAL)
    DebertaV2ForMaskedLM.from_pretrained(folder / "deberta", **LOCAL)
    prompt = "Question: What does the man show? Is it 'The ball'? [MASK]. Subtitles:"
    ids = tokenizer(prompt).input_ids
    assert ids.count(tokenizer.mask_token_id) == 1
    assert tokenizer.unk_token_id not in ids
    yes, no = (tokenizer(text, add_special_tokens=False).input_ids for text in ("Yes", "No"))
    assert len(yes) == len(no) == 1
    assert yes != no


def test_the_deberta_file_has_every_name_that_frozenbilm_reads(folder):
    state = load_file(folder / "deberta" / "model.safetensors")
    assert not set(library_names(2)) - set(state)


def test_encoders_repeat_their_bytes_in_another_process(folder, tmp_path):
    script = (
        "import sys, yaml; from pathlib import Path; from stages.params import World, parse\n"
        "from stages.worlds.questions import QuestionWorld; from stages.worlds.encoders import write_encoders\n"
        "from dataclasses import replace\n"
        "raw = yaml.safe_load(Path('params.yaml').read_text())['worlds']['questions']\n"
        "entry = parse(World, raw, 'w')\n"
        "small = replace(entry.planted, splits={name: replace(s, videos=1) for name, s in entry.planted.splits.items()})\n"
        "world = QuestionWorld(small, entry.questions, entry.seed)\n"
        f"write_encoders(Path(sys.argv[1]), world.asking.encoders, world.wording, {TEXTS!r})\n"
    )
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=root, env=environment, capture_output=True)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes(), path.name
