"""Small text encoders in the folder format of `transformers`, so that loading them is loading the published ones.

encoders/clip_text   CLIPTextModelWithProjection and a byte-pair tokenizer with CLIP's marks
encoders/roberta     RobertaModel and a byte-level byte-pair tokenizer
encoders/deberta     DebertaV2ForMaskedLM by the names of the published file, and a unigram tokenizer with [MASK]

Only the tokenizers are trained, on the texts of the training split and the prompts that the methods put around them. Words of the
world begin at the vectors of their concepts, in the space of the frames of equal width, as a pretrained encoder's words carry
meaning; attention begins as a mean over the words; every other weight is a seeded normal draw.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.worlds.grammar import NUMBERS, QUESTION_WORDS
from stages.worlds.language import ACTORS, OBJECTS, VERBS, Concept
from stages.worlds.settings import Encoders, Planted
from stages.worlds.streams import stream
from stages.worlds.wording import Wording

if TYPE_CHECKING:
    from torch import nn

MERGES = 4000  # more than the world's words need: every word becomes one token
BYTE_MARK, SPACE_MARK, WORD_END = "\u0120", "\u2581", "</w>"
ROBERTA_MARKS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
CLIP_MARKS = ["<|startoftext|>", "<|endoftext|>"]
DEBERTA_MARKS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
CLIP_SPLIT = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
IS_IT = "Question: {} Is it '{}'? ."
WHICH = "Question: What question can the video clip answer? Is it '{}' ."
OTHER = ("Subtitles:", "Yes No yes no")
SAME_ATTENTION = re.compile(r"(v_proj|out_proj|value|value_proj|attention\.output\.dense|attention\.self\.value_proj)\.weight$")
ENDS = 0xE000  # private plane
CONVOLUTION = 3
BUCKETS = 16


def write_encoders(root: Path, encoders: Encoders, wording: Wording, texts: Sequence[tuple[str, str]]) -> None:
    """Write the three folders below `root`. `texts`: question and option of the training split."""
    write_tokenised(root, encoders, WordVectors(encoders, wording), list(sentences(wording.settings, texts)))


def write_tokenised(
    root: Path,
    encoders: Encoders,
    vectors: WordVectors,
    corpus: list[str],
    names: Sequence[str] = ("clip_text", "roberta", "deberta"),
) -> None:
    """Write folders below `root`: tokenizers trained on `corpus`, words that begin at `vectors`."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # files of half a megabyte each
    builders = {"clip_text": _clip, "roberta": _roberta, "deberta": _deberta}
    for name in names:
        folder = root / name
        folder.mkdir(parents=True)
        builders[name](folder, corpus, encoders, vectors)


def sentences(settings: Planted, texts: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What the tokenizers are trained on: the texts, the prompts around them, and every word of the world once."""
    yield from prompted(texts)
    verbs = [form for verb in VERBS[: settings.predicates] for form in (verb.base, verb.third, verb.ing, verb.past)]
    words = [*QUESTION_WORDS, *ACTORS[: settings.actors], *OBJECTS[: settings.objects], *verbs, *NUMBERS]
    yield from (word for word in words if not word.startswith("<"))
    yield " ".join(word for word in words if not word.startswith("<"))


def prompted(texts: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Questions and options alone, together, and with the prompts that the methods put around them."""
    for question, option in dict.fromkeys(texts):
        yield f"{question} {option}"
        yield option
        yield f"{question}?"
        sentence, answer = f"{question[:1].upper()}{question[1:]}?", f"{option[:1].upper()}{option[1:]}"
        yield IS_IT.format(sentence, answer)
        yield WHICH.format(sentence)
    yield from OTHER


class WordVectors:
    """First vectors of tokens."""

    def __init__(self, encoders: Encoders, wording: Wording) -> None:
        settings = wording.settings
        self.seed, self.width, self.spread = wording.views.seed, encoders.width, encoders.spread
        concepts: dict[str, Concept] = {word: ("function", index) for index, word in enumerate(QUESTION_WORDS)}
        concepts |= {word: ("actor", index) for index, word in enumerate(ACTORS[: settings.actors])}
        concepts |= {word: ("object", index) for index, word in enumerate(OBJECTS[: settings.objects])}
        for index, verb in enumerate(VERBS[: settings.predicates]):
            concepts |= dict.fromkeys((verb.base, verb.third, verb.ing, verb.past), ("predicate", index))
        lift = wording.views.lift(settings.text.like, encoders.width)
        self.known = {word: lift @ wording.vectors(((word, concept),))[0] for word, concept in concepts.items()}

    def table(self, encoder: str, pieces: Sequence[str]) -> np.ndarray:
        """(V, width): a concept's vector for its words, whatever their marks and capitals; for others a drawn one of length 1."""
        rows = []
        for piece in pieces:
            generator = stream(self.seed, "encoder words", encoder, piece)
            drawn = generator.standard_normal(self.width)
            word = piece.removeprefix(BYTE_MARK).removeprefix(SPACE_MARK).removesuffix(WORD_END).lower()
            known = self.known.get(word)
            rows.append(drawn / math.sqrt(self.width) if known is None else known + self.spread / math.sqrt(self.width) * drawn)
        return np.stack(rows)

    def fill(self, encoder: str, model: nn.Module, embedding: str, pieces: Sequence[str]) -> None:
        """Set every weight of a model: the words' vectors, attention as a mean, norms as they are, the rest drawn."""
        import torch

        with torch.no_grad():
            for name, weight in sorted(model.named_parameters()):
                shape = tuple(weight.shape)
                if name == embedding:
                    values = self.table(encoder, pieces)
                elif name.endswith("bias") or "norm" in name.lower():
                    continue
                else:
                    values = self.spread * stream(self.seed, "encoder weights", encoder, name).standard_normal(shape)
                    if SAME_ATTENTION.search(name) or name.startswith("text_projection"):
                        values += np.eye(shape[0], shape[1])
                weight.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def _sizes(encoders: Encoders, vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": encoders.width,
        "num_hidden_layers": encoders.layers,
        "num_attention_heads": encoders.heads,
        "intermediate_size": encoders.feed_forward,
        "max_position_embeddings": encoders.positions,
    }


def _clip(folder: Path, corpus: list[str], encoders: Encoders, vectors: WordVectors) -> None:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    start, end = CLIP_MARKS
    normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    splitter = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(CLIP_SPLIT), "removed", True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    words = [word for text in corpus for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))]
    vocabulary, merges = _merges_with_ends(words)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, end_of_word_suffix=WORD_END, unk_token=end))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.post_processor = processors.RobertaProcessing((end, 1), (start, 0), add_prefix_space=False)
    pieces = _save_tokenizer(folder, tokenizer, "CLIPTokenizer", encoders.positions)
    config = CLIPTextConfig(
        **_sizes(encoders, len(pieces)), projection_dim=encoders.width, bos_token_id=0, eos_token_id=1, pad_token_id=1
    )
    model = CLIPTextModelWithProjection(config)
    vectors.fill("clip_text", model, "text_model.embeddings.token_embedding.weight", pieces)
    model.save_pretrained(folder)


def _merges_with_ends(words: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Byte pairs in CLIP's form, where the last letter of a word is a symbol of its own.

    The library numbers such symbols in the order of a hash table, another one in every process. So it is shown words whose last
    letter is moved to a plane of its own, and the letters are moved back in what it has learnt.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=MERGES,
        min_frequency=1,
        initial_alphabet=[*letters, *(chr(ord(letter) + ENDS) for letter in letters)],
        special_tokens=CLIP_MARKS,
        show_progress=False,
    )
    learner.train_from_iterator((word[:-1] + chr(ord(word[-1]) + ENDS) for word in words), trainer)
    learnt = json.loads(learner.to_str())["model"]

    def back(piece: str) -> str:
        last = piece[-1]
        return piece[:-1] + chr(ord(last) - ENDS) + WORD_END if ord(last) >= ENDS else piece

    vocabulary = {back(piece): int(index) for piece, index in learnt["vocab"].items()}
    return vocabulary, [(back(first), back(second)) for first, second in learnt["merges"]]


def _roberta(folder: Path, corpus: list[str], encoders: Encoders, vectors: WordVectors) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import RobertaConfig, RobertaModel

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=MERGES,
        min_frequency=1,
        special_tokens=ROBERTA_MARKS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    pieces = _save_tokenizer(folder, tokenizer, "RobertaTokenizer", encoders.positions)
    sizes = _sizes(encoders, len(pieces)) | {"max_position_embeddings": encoders.positions + 2}  # its positions begin at 2
    model = RobertaModel(
        RobertaConfig(**sizes, type_vocab_size=1, layer_norm_eps=1e-5, bos_token_id=0, pad_token_id=1, eos_token_id=2),
        add_pooling_layer=False,
    )
    vectors.fill("roberta", model, "embeddings.word_embeddings.weight", pieces)
    model.save_pretrained(folder)


def _deberta(folder: Path, corpus: list[str], encoders: Encoders, vectors: WordVectors) -> None:
    from transformers import DebertaV2Config, DebertaV2ForMaskedLM, DebertaV2Tokenizer

    counted: Counter[str] = Counter()
    empty = DebertaV2Tokenizer(vocab=[(mark, 0.0) for mark in DEBERTA_MARKS], split_by_punct=True)
    for text in corpus:
        counted.update(piece for piece, _ in empty.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text))
    letters = sorted({letter for piece in counted for letter in piece} - counted.keys())
    total = sum(counted.values())
    learnt = [(piece, math.log(count / total)) for piece, count in sorted(counted.items(), key=lambda one: (-one[1], one[0]))]
    rare = math.log(1 / total) - len(learnt)  # letters spell what no word does
    vocabulary = [(mark, 0.0) for mark in DEBERTA_MARKS] + learnt + [(letter, rare) for letter in letters]
    tokenizer = DebertaV2Tokenizer(vocab=vocabulary, split_by_punct=True, unk_id=DEBERTA_MARKS.index("[UNK]"))
    pieces = _save_tokenizer(folder, tokenizer.backend_tokenizer, "DebertaV2Tokenizer", encoders.positions)
    config = DebertaV2Config(
        **_sizes(encoders, len(pieces)),
        pad_token_id=0,
        type_vocab_size=0,
        relative_attention=True,
        max_relative_positions=-1,
        position_buckets=BUCKETS,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        conv_kernel_size=CONVOLUTION,
        conv_act="gelu",
        legacy=False,
    )
    model = DebertaV2ForMaskedLM(config)
    vectors.fill("deberta", model, "deberta.embeddings.word_embeddings.weight", pieces)
    model.save_pretrained(folder)
    _add_positions(folder / "model.safetensors", encoders, vectors)


def _add_positions(path: Path, encoders: Encoders, vectors: WordVectors) -> None:
    """The published file has a table of absolute positions that the library's model leaves out and FrozenBiLM reads."""
    import torch
    from safetensors.torch import load_file, save_file

    name = "deberta.embeddings.position_embeddings.weight"
    drawn = stream(vectors.seed, "encoder weights", "deberta", name).standard_normal((encoders.positions, encoders.width))
    table = torch.from_numpy((encoders.spread * drawn).astype(np.float32))
    save_file(load_file(path) | {name: table}, path, metadata={"format": "pt"})


def _save_tokenizer(folder: Path, tokenizer: Any, kind: str, longest: int) -> list[str]:
    """Write tokenizer.json and tokenizer_config.json; return the pieces by id."""
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True), encoding="utf-8", newline="\n")
    config: dict[str, Any] = {"tokenizer_class": kind, "model_max_length": longest}
    if kind == "DebertaV2Tokenizer":
        config["split_by_punct"] = True
    (folder / "tokenizer_config.json").write_text(json.dumps(config) + "\n", encoding="utf-8", newline="\n")
    return [piece for piece, _ in sorted(tokenizer.get_vocab().items(), key=lambda one: int(one[1]))]
