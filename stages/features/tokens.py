"""English sentences to tokens after the Penn Treebank's conventions, and which of them are content words.

Tokens: punctuation stands alone (a full stop only at the end), clitics are split off ("it's" -> it 's, "don't" -> do n't), a few
fused words are parted ("cannot" -> can not). Casing stays.
Tags: Penn Treebank tags by Stanza where it is installed with its English models, or else two tags only, by a list of the function
words of English: what is in it, or holds no letter, is "X", everything else "NN".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

Tagger = Literal["closed_class", "stanza"]
Tag = Callable[[Sequence[Sequence[str]]], Iterator[list[str]]]  # tokens of many sentences -> their tags

_RULES = [
    (re.compile(r'^"'), r"`` "),
    (re.compile(r"(``)"), r" \1 "),
    (re.compile(r'([ (\[{<])("|\'{2})'), r"\1 `` "),
    (re.compile(r"([:,])([^\d])"), r" \1 \2"),
    (re.compile(r"([:,])$"), r" \1 "),
    (re.compile(r"\.\.\."), r" ... "),
    (re.compile(r"[;@#$%&]"), r" \g<0> "),
    (re.compile(r'([^.])(\.)([\])}>"\']*)\s*$'), r"\1 \2\3 "),
    (re.compile(r"[?!]"), r" \g<0> "),
    (re.compile(r"([^'])' "), r"\1 ' "),
    (re.compile(r"[\]\[(){}<>]"), r" \g<0> "),
    (re.compile(r"--"), r" -- "),
]
_ENDINGS = [
    (re.compile(r"''"), " '' "),
    (re.compile(r'"'), " '' "),
    (re.compile(r"([^' ])('[sS]|'[mM]|'[dD]|') "), r"\1 \2 "),
    (re.compile(r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) "), r"\1 \2 "),
]
_FUSED = re.compile(
    r"\b(can)(not)\b|\b(d)('ye)\b|\b(gim)(me)\b|\b(gon)(na)\b|\b(got)(ta)\b|\b(lem)(me)\b|\b(more)('n)\b|\b(wan)(na)(?=\s)",
    re.IGNORECASE,
)

_FUNCTION_WORDS = frozenset(
    """
    a an the this that these those each every either neither both all any some no another such what whatever which whichever
    i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its itself we us our
    ours ourselves they them their theirs themselves one oneself who whom whose whoever someone somebody something anyone
    anybody anything everyone everybody everything nobody nothing none and or but nor yet so for because although though
    while whereas if unless until till since as than whether lest of in on at by to from with without into onto out off over
    under above below up down through across along around about after before behind beside besides between beyond among
    against during inside outside near toward towards upon within throughout past per via like except can could may might
    must shall should will would 'd 'll there 's ' '' ``
    """.split()  # noqa: SIM905  (a list of 180 literals is no easier to read)
)


def tokens(sentence: str) -> list[str]:
    """The tokens of one sentence, in order, as cased in it."""
    text = sentence
    for pattern, form in _RULES:
        text = pattern.sub(form, text)
    text = f" {text} "
    for pattern, form in _ENDINGS:
        text = pattern.sub(form, text)
    text = _FUSED.sub(lambda match: " " + " ".join(filter(None, match.groups())) + " ", text)
    return text.split()


def tagger(name: Tagger) -> Tag:
    """The tagger of this name.

    Raises LookupError with the way out if Stanza or its models are not there.
    """
    return _stanza() if name == "stanza" else _closed_class


def _closed_class(sentences: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    for sentence in sentences:
        yield [
            "X" if (word := token.lower()) in _FUNCTION_WORDS or not any(map(str.isalpha, word)) else "NN" for token in sentence
        ]


def _stanza() -> Tag:
    way = "use tagger: closed_class, or install the models: python -c \"import stanza; stanza.download('en')\""
    try:
        import stanza  # only this tagger pays for it
    except ImportError as error:
        raise LookupError(f"tagger stanza: Stanza is not installed; {way}") from error
    try:
        pipeline: Any = stanza.Pipeline(
            "en", processors="tokenize,pos", tokenize_pretokenized=True, download_method=None, verbose=False
        )
    except Exception as error:  # Stanza raises a different type for every file that it misses
        raise LookupError(f"tagger stanza: its English models cannot be loaded ({error}); {way}") from error

    def tag(sentences: Sequence[Sequence[str]]) -> Iterator[list[str]]:
        for sentence in pipeline([list(sentence) for sentence in sentences]).sentences:
            yield [word.xpos for word in sentence.words]

    return tag
