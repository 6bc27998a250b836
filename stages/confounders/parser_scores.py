"""How well a Stanza package parses a treebank, by the CoNLL 2018 scorer that Stanza uses.

Four times, with more and more given: `raw` from the text alone, a paragraph per document; `split` from the text, a paragraph per
sentence, as the questions of a data set come; `tokens` with the treebank's words; `tags` with its tags and lemmas too. Figures
are F1 in percent; UAS and LAS leave nothing out, punctuation counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stages.confounders.blocks import one_thread
from stages.confounders.stanza_models import pipeline
from stages.confounders.treebanks import Sentence, paragraphs, without_features, write_conllu, write_text

GIVEN = {"raw": None, "split": None, "tokens": ("pos", "lemma", "depparse"), "tags": ("depparse",)}
LONGEST = 10_000  # characters of a token; Stanza by itself replaces addresses of web pages longer than 1,000 by a mark
FROM_TEXT = ("Tokens", "Sentences", "Words", "UPOS", "XPOS", "Lemmas", "UAS", "LAS")
METRICS = {
    "raw": FROM_TEXT,
    "split": FROM_TEXT,
    "tokens": ("UPOS", "XPOS", "Lemmas", "UAS", "LAS"),
    "tags": ("UAS", "LAS"),
}


def scores(folder: Path, package: str, sentences: Sequence[Sentence], work: Path) -> dict[str, dict[str, float]]:
    """{"raw": {metric: F1 in percent}, "split": ..., "tokens": ..., "tags": ...}. `work` receives the parses as CoNLL-U.

    Raises ModelsError.
    """
    from stanza.models.common.utils import ud_scores
    from stanza.utils.conll import CoNLL

    work.mkdir(parents=True, exist_ok=True)
    gold = work / "gold.conllu"
    write_conllu(gold, without_features(sentences))
    write_text(work / "raw.txt", paragraphs(sentences, None))
    write_text(work / "split.txt", [[sentence] for sentence in sentences])
    result = {}
    with one_thread():
        parser = pipeline(folder, package, tokenize_max_seqlen=LONGEST)
        for name, processors in GIVEN.items():
            if processors is None:
                document = parser((work / f"{name}.txt").read_text(encoding="utf-8"))
            else:
                document = parser.process(CoNLL.conll2doc(str(gold)), processors=list(processors))
            CoNLL.write_doc2conll(document, str(work / f"{name}.conllu"))
            found = ud_scores(str(gold), str(work / f"{name}.conllu"))
            result[name] = {metric: round(100 * found[metric].f1, 2) for metric in METRICS[name]}
    return result
