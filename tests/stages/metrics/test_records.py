import pytest

from stages.metrics.records import InputError, read_object, read_records, read_table, sorted_ids
from stages.metrics.rounding import rounded


def test_blank_lines_count_as_lines_but_hold_no_record(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"qid": 1}\n\n{"qid": 2}\n\n')
    records = read_records(tmp_path / "p.jsonl")
    assert len(records) == 2
    assert records.place(1) == f"{tmp_path}/p.jsonl: line 3: qid 2"


def test_a_line_separator_inside_a_text_does_not_end_a_line(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"qid": 1, "query": "a\u2028b"}\n{"qid": 2}\n')
    assert len(read_records(tmp_path / "p.jsonl")) == 2


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b'\xef\xbb\xbf{"qid": 1}\n')
    assert read_records(tmp_path / "p.jsonl").rows == [{"qid": 1}]


def test_repeated_keys_of_an_object_are_found(tmp_path):
    (tmp_path / "a.json").write_text('{"1": {"a": 1}, "2": {"a": 2}, "1": {"a": 3}}')
    value, repeated = read_object(tmp_path / "a.json")
    assert value == {"1": {"a": 3}, "2": {"a": 2}}
    assert repeated == ["1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,qid\n1,2,3\n", r"q\.csv: line 2: 3 cells; the header has 2"),
        ("video\n1\n", r"q\.csv: line 1: no column qid; the header has video"),
        ("video,qid\n", r"q\.csv: no rows below the header"),
        ('video,qid\n"1,2\n', r"q\.csv: line \d: not CSV"),
    ],
)
def test_a_broken_table_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "q.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / "q.csv", ["video", "qid"])


def test_cells_stay_text(tmp_path):
    (tmp_path / "q.csv").write_text('video,qid,answer\n0042,NaN,"a, b"\n')
    assert read_table(tmp_path / "q.csv", ["video", "qid"]).rows == [{"video": "0042", "qid": "NaN", "answer": "a, b"}]


def test_ids_of_both_types_have_an_order():
    assert sorted_ids(["b", 3, "a", 1]) == [1, 3, "a", "b"]


def test_rounding_goes_by_the_exact_binary_value():
    assert rounded({"a": 0.125, "b": {"c": 2.675, "d": None, "e": 7}}, 2) == {"a": 0.12, "b": {"c": 2.67, "d": None, "e": 7}}
    assert rounded({"a": 1 / 3, "b": 1 / 3}, 2, as_they_are=frozenset({"b"})) == {"a": 0.33, "b": 1 / 3}
