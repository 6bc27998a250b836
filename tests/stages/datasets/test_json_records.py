import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.datasets.json_records import json_lines, json_object, parse
from stages.datasets.schema import DatasetError, Quality


def write(folder, content, name="rows.jsonl"):
    path = folder / name
    path.write_bytes(content)
    return path


def read(path, quality=None):
    return list(json_lines(path, quality or Quality()))


def test_lines_are_numbered_and_kept_as_published(tmp_path):
    path = write(tmp_path, b'{"qid": 7,  "q": "\\u00e9"}\r\n{"qid": 8}')
    assert read(path) == [(1, '{"qid": 7,  "q": "\\u00e9"}', {"qid": 7, "q": "é"}), (2, '{"qid": 8}', {"qid": 8})]


def test_only_a_line_feed_ends_a_line(tmp_path):
    path = write(tmp_path, '{"q": "one\u2028two\u0085three"}\n'.encode())
    assert read(path)[0][2] == {"q": "one\u2028two\u0085three"}


def test_gzip_reads_like_plain(tmp_path):
    plain = write(tmp_path, b'{"a": 1}\n')
    assert read(write(tmp_path, gzip.compress(plain.read_bytes()), "rows.jsonl.gz")) == read(plain)


def test_byte_order_mark_and_blank_lines_are_dropped_and_counted(tmp_path):
    quality = Quality()
    rows = read(write(tmp_path, b'\xef\xbb\xbf{"a": 1}\n\n  \n{"a": 2}\n'), quality)
    assert [number for number, _, _ in rows] == [1, 4]
    assert quality.counts == {"byte_order_mark_dropped": 1, "blank_line_skipped": 2}
    assert quality.examples["blank_line_skipped"] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a": \n', r"rows\.jsonl: line 2: broken JSON .*fetch it again"),
        (b'{"a": 1} {"a": 2}\n', r"rows\.jsonl: line 1: broken JSON"),
        (b'{"a": NaN}\n', r"line 1: NaN is not a number that JSON allows"),
        (b'{"a": -Infinity}\n', r"line 1: -Infinity is not a number"),
        (b'{"a": 1, "a": 2}\n', r"line 1: key 'a' occurs twice in one object"),
        (b'{"b": {"a": 1, "a": 2}}\n', r"line 1: key 'a' occurs twice"),
        (b"[1, 2]\n", r"line 1: expected a JSON object, got \[1, 2\] \(list\)"),
        (b'{"a": "\xff"}\n', r"line 1: not UTF-8 \(invalid start byte at byte 7\)"),
        (b'{"a": ' + b"9" * 5000 + b"}\n", r"line 1: .*digits.*correct the record"),
        (b"[" * 100_000 + b"\n", r"line 1: broken JSON"),
        (b"", r"rows\.jsonl: no record in it"),
        (b"\n\n", r"rows\.jsonl: no record in it"),
    ],
)
def test_a_broken_line_is_reported_with_file_and_line(tmp_path, content, message):
    with pytest.raises(DatasetError, match=message):
        read(write(tmp_path, content))


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"PK" + data[2:], lambda data: data[:12] + b"\0" + data[13:]]
)
def test_a_damaged_gzip_file_is_reported(tmp_path, damage):
    whole = gzip.compress(b'{"a": 1}\n' * 100)
    with pytest.raises(DatasetError, match=r"rows\.jsonl\.gz: (damaged gzip file|line 1: )"):
        read(write(tmp_path, damage(whole), "rows.jsonl.gz"))


def test_a_whole_file_must_be_one_object(tmp_path):
    assert json_object(write(tmp_path, b'\xef\xbb\xbf{"v": {"d": 1}}', "a.json")) == {"v": {"d": 1}}
    with pytest.raises(DatasetError, match=r"b\.json: expected a JSON object"):
        json_object(write(tmp_path, b"[]", "b.json"))


@settings(deadline=None)
@given(st.text(alphabet='{}[]",:0123456789.eE+-naNInfity \\u', max_size=40))
def test_whatever_stands_there_is_parsed_or_refused_with_its_place(text):
    message = ""
    try:
        parse(text, "file: line 1")
    except DatasetError as fault:
        message = str(fault)
    assert message.startswith("file: line 1: ") or not message
