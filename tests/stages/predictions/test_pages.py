"""Parts of the page file of a run."""

from __future__ import annotations

import numpy as np

from stages.predictions.pages import query_numbers, table
from tests.stages import asked
from tests.stages.predictions.sample import sample


def test_numbers_of_queries_stand_beside_their_texts_and_nan_is_null():
    numbers = query_numbers(["2", "1#0"], {"IoU": np.array([33.33333, np.nan])}, [sample(1), sample(2)])
    assert numbers == {"ids": ["2", "1#0"], "queries": ["query 2", ""], "measures": {"IoU": [33.33, None]}}


def test_questions_are_told_by_their_question():
    one = asked.sample(0, options=True, split="iid")
    assert query_numbers([one.sample_id], {}, [one])["queries"] == [one.question]


def test_what_is_no_sample_may_have_a_text_of_its_own():
    numbers = query_numbers(["1#0", "1#1"], {}, [sample(1)], {"1#0": "dog chase cat"})
    assert numbers["queries"] == ["dog chase cat", ""]


def test_tables_quote_names_and_texts_with_commas():
    rows = [{"split": "iid", "R@1,mIoU": 12.5}, {"split": "a, b", "further": None}]
    assert table(rows) == 'split,"R@1,mIoU",further\niid,12.5,\n"a, b",,\n'
