"""What a language model reads of a question."""

from __future__ import annotations

from stages.training.question_texts import is_it, joined, which_question


def test_question_stands_before_each_option():
    assert joined("why did he fall", ["ice", "wind"], "</s>") == ["why did he fall </s> ice", "why did he fall </s> wind"]


def test_option_is_asked_for_as_a_sentence_with_one_word_missing():
    assert is_it("why did he fall", ["ice"], "[MASK]") == ["Question: Why did he fall? Is it 'Ice'? [MASK]. Subtitles:"]
    assert is_it("Why did he fall?", ["ice"], "[MASK]", subtitles=False) == ["Question: Why did he fall? Is it 'Ice'? [MASK]."]


def test_question_is_asked_for_like_an_option():
    assert which_question(["who sings"], "[MASK]") == [
        "Question: What question can the video clip answer? Is it 'Who sings?' [MASK]. Subtitles:"
    ]


def test_nothing_is_capitalised_in_an_empty_option():
    assert "Is it ''?" in is_it("who", [""], "[MASK]")[0]
