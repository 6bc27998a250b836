"""CoNLL-U sentences read, varied and written back."""

import gzip
import random

import pytest

from stages.confounders.treebanks import (
    TreebankError,
    as_typed,
    paragraphs,
    read_treebank,
    with_tags,
    without_features,
    write_conllu,
    write_text,
)

TREEBANK = """\
# sent_id = notes-0001
# text = Don't run!
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVB\tMood=Imp\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\trun\trun\tVERB\tVB\tMood=Imp\t0\troot\t_\tSpaceAfter=No
4\t!\t!\tPUNCT\t.\t_\t3\tpunct\t_\t_

# sent_id = notes-0002
# text = It rained.
1\tIt\tit\tPRON\tPRP\t_\t2\tnsubj\t_\t_
2\trained\train\tVERB\tVBD\t_\t0\troot\t_\tSpaceAfter=No
3\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\t_

# sent_id = letter-0001
# text = Why?
1\tWhy\twhy\tADV\tWRB\t_\t0\troot\t_\tSpaceAfter=No
2\t?\t?\tPUNCT\t.\t_\t1\tpunct\t_\t_

"""


@pytest.fixture
def sentences(tmp_path):
    (tmp_path / "train.conllu").write_text(TREEBANK, encoding="utf-8")
    return read_treebank(tmp_path, "train")


def test_sentences_are_read_with_their_documents(sentences):
    assert [sentence.document for sentence in sentences] == ["notes", "notes", "letter"]
    assert [sentence.text() for sentence in sentences] == ["Don't run!", "It rained.", "Why?"]
    assert [row[1] for row in sentences[0].words()] == ["Do", "n't", "run", "!"]


def test_compressed_files_are_the_same(sentences, tmp_path):
    folder = tmp_path / "packed"
    folder.mkdir()
    with gzip.open(folder / "train.conllu.gz", "wt", encoding="utf-8") as stream:
        stream.write(TREEBANK)
    assert read_treebank(folder, "train") == sentences


def test_writing_and_reading_gives_the_same_words(sentences, tmp_path):
    write_conllu(tmp_path / "again.conllu", sentences)
    again = read_treebank(tmp_path, "again")
    assert [sentence.rows for sentence in again] == [sentence.rows for sentence in sentences]


def test_questions_and_commands_are_repeated_as_people_type_them(sentences):
    typed = as_typed(sentences)
    assert [sentence.text() for sentence in typed] == ["don't run", "why"]
    assert [row[7] for row in typed[0].words()] == ["aux", "advmod", "root"]


def test_a_mark_that_other_words_hang_on_stays(tmp_path):
    hung = TREEBANK.replace("1\tWhy\twhy\tADV\tWRB\t_\t0\troot", "1\tWhy\twhy\tADV\tWRB\t_\t2\tdep").replace(
        "2\t?\t?\tPUNCT\t.\t_\t1\tpunct", "2\t?\t?\tPUNCT\t.\t_\t0\troot"
    )
    (tmp_path / "train.conllu").write_text(hung, encoding="utf-8")
    assert as_typed(read_treebank(tmp_path, "train"))[-1].text() == "why?"


def test_paragraphs_never_join_documents(sentences, tmp_path):
    whole = paragraphs(sentences, None)
    assert [len(group) for group in whole] == [2, 1]
    drawn = paragraphs(sentences * 20, random.Random(0))
    assert [sentence for group in drawn for sentence in group] == sentences * 20
    assert all(len({sentence.document for sentence in group}) == 1 for group in drawn)
    write_text(tmp_path / "text.txt", whole)
    assert (tmp_path / "text.txt").read_text() == "Don't run! It rained.\n\nWhy?\n"


def test_columns_can_be_blank_or_another_annotators(sentences):
    bare = without_features(sentences)
    assert {row[5] for sentence in bare for row in sentence.rows} == {"_"}
    assert with_tags(bare, sentences, (5,)) == sentences


def test_a_line_that_is_no_word_is_named(tmp_path):
    (tmp_path / "train.conllu").write_text(TREEBANK + "1\tshort\n", encoding="utf-8")
    with pytest.raises(TreebankError, match=r"train\.conllu: line 20: 2 columns, expected 10"):
        read_treebank(tmp_path, "train")


def test_a_missing_treebank_says_what_belongs_there(tmp_path):
    with pytest.raises(TreebankError, match=r"neither dev\.conllu nor dev\.conllu\.gz"):
        read_treebank(tmp_path, "dev")
