"""Question answering: accuracies by group, and the three benchmarks that are scored from a file of answers."""

import json

import pytest

from stages import score
from stages.metrics.answers import count, next_qa_counts, percentages
from stages.metrics.records import InputError, NotApplicableError


def test_before_and_after_are_one_group_and_letters_add_up():
    kinds = [
        ("CW", True),
        ("CW", False),
        ("CH", True),
        ("TP", True),
        ("TN", False),
        ("TC", True),
        ("DC", True),
        ("DL", True),
        ("DO", False),
    ]
    counts = next_qa_counts(kinds, "q.csv")
    assert counts["Bef&Aft"] == [1, 2]
    assert (counts["Acc_C"], counts["Acc_T"], counts["Acc_D"], counts["Acc"]) == ([2, 3], [2, 3], [2, 3], [6, 9])


def test_an_unknown_type_is_named():
    with pytest.raises(InputError, match=r'q\.csv: type "XX" is none of CW'):
        next_qa_counts([("XX", True)], "q.csv")


def test_an_empty_group_fails_as_in_the_reference_and_has_no_value_corrected():
    counts = {**count([("a", True)]), "b": [0, 0]}
    with pytest.raises(NotApplicableError, match="no question in the group b"):
        percentages(counts, "q.csv")
    assert percentages(counts, "q.csv", corrected=True) == {"a": 100, "b": None}


KINDS = ("CW", "CH", "TN", "TP", "TC", "DC", "DL", "DO")
NEXTQA = "video,qid,type,question,answer,a0,a1,a2,a3,a4\n" + "".join(
    f"007,{number},{kind},why,{number % 5},a,b,c,d,e\n" for number, kind in enumerate(KINDS)
)
MSVD = "id\tvideo_id\tquestion\tanswer\n1\t5\twho sings\tman\n2\t5\tWhat is cut\tonion\n3\t5\twhat is cut\tzebra\n"
VIDQA = "video_id,type\n" + "".join(f"a_b_{video},{kind}\n" for video in range(2) for kind in ("d", "e", "p", "pr", "c", "cr"))


def run(folder, benchmark, answers, questions, *more):
    """Exit code and output."""
    (folder / "p.json").write_text(answers if isinstance(answers, str) else json.dumps(answers))
    (folder / "q.csv").write_text(questions)
    (folder / "v.json").write_text(json.dumps(["man", "onion"]))
    arguments = ["--benchmark", benchmark, "--predictions", folder / "p.json", "--questions", folder / "q.csv", *more]
    if benchmark in ("msvd_qa", "msrvtt_qa"):
        arguments += ["--answer-vocabulary", folder / "v.json"]
    out = folder / "out.json"
    out.unlink(missing_ok=True)
    code = score.main([*map(str, arguments), "--out", str(out)])
    return code, json.loads(out.read_text()) if code == 0 else None


def nextqa_answers(**changed):
    """Every prediction right but the first."""
    right = {f"007_{number}": {"prediction": number % 5, "answer": number % 5} for number in range(len(KINDS))}
    return {**right, "007_0": {"prediction": 4, "answer": 0}, **changed}


def test_nextqa_by_hand(tmp_path):
    code, out = run(tmp_path, "nextqa", nextqa_answers(), NEXTQA)
    assert code == 0
    values = out["profiles"]["qa"]["rounded"]
    assert (values["Why"], values["How"], values["Acc_C"], values["Acc"]) == (0.0, 100.0, 50.0, 87.5)
    assert out["profiles"]["qa"]["counts"]["Bef&Aft"] == [2, 2]


def test_the_reference_believes_the_answers_of_the_file_and_corrected_values_do_not(tmp_path, capsys):
    wrong = nextqa_answers(**{"007_1": {"prediction": 3, "answer": 3}})
    _, out = run(tmp_path, "nextqa", wrong, NEXTQA)
    assert out["profiles"]["qa"]["rounded"]["How"] == 100.0
    assert any("id 007_1: answer: 3, but the label is 1" in text for text in out["warnings"])
    assert run(tmp_path, "nextqa", wrong, NEXTQA, "--corrected")[0] == 2
    assert "id 007_1: answer" in capsys.readouterr().err


def test_labels_as_text_accept_every_option_that_reads_the_same(tmp_path):
    text = "video_id,qid,type,question,answer,a0,a1,a2,a3,a4\n" + "".join(
        f"007,{number},{kind},why,x,a,x,x,d,e\n" for number, kind in enumerate(KINDS)
    )
    answers = {f"007_{number}": {"prediction": 1 + number % 2, "answer": 1 + number % 2} for number in range(len(KINDS))}
    _, out = run(tmp_path, "nextqa", answers, text, "--corrected")
    assert out["corrected"]["qa"]["rounded"]["Acc"] == 100.0
    assert out["warnings"] == []


def test_a_label_of_more_digits_than_python_converts_is_refused(tmp_path, capsys):
    assert run(tmp_path, "nextqa", nextqa_answers(), NEXTQA.replace("why,0,", f"why,{'9' * 5000},", 1))[0] == 2
    assert "answer: expected 0 to 4, got" in capsys.readouterr().err


def test_answers_to_other_questions_are_left_out_and_missing_ones_refused(tmp_path, capsys):
    _, out = run(tmp_path, "nextqa", nextqa_answers(extra={"prediction": 1, "answer": 1}), NEXTQA)
    assert (out["n_scored"], out["n_skipped"]) == (8, 1)
    fewer = {key: value for key, value in nextqa_answers().items() if key != "007_3"}
    assert run(tmp_path, "nextqa", fewer, NEXTQA)[0] == 3
    assert 'Missing (1): ["007_3"]' in capsys.readouterr().err
    assert run(tmp_path, "nextqa", fewer, NEXTQA, "--ids", "intersection")[1]["n_skipped"] == 1


FAULTS = [
    ("[1]", "expected one JSON object"),
    ("{}", "empty"),
    ("{", "not JSON"),
    ({"007_0": 4}, "id 007_0: expected prediction and answer, got 4"),
    ({"007_0": {"prediction": 4}}, "id 007_0: answer: expected a whole number"),
    ({"007_0": {"prediction": 4.0, "answer": 1}}, "id 007_0: prediction: expected a whole number, got 4.0"),
    ({"007_0": {"prediction": True, "answer": 1}}, "id 007_0: prediction: expected a whole number, got true"),
    ('{"007_0": {"prediction": NaN, "answer": 1}}', "id 007_0: prediction: expected a whole number, got NaN"),
]


@pytest.mark.parametrize(("answers", "message"), FAULTS)
def test_a_file_that_holds_no_answers_is_refused_with_id_and_field(tmp_path, capsys, answers, message):
    assert run(tmp_path, "nextqa", answers, NEXTQA)[0] == 2
    assert message in capsys.readouterr().err


def test_answers_outside_the_vocabulary_stay_in_the_denominator(tmp_path):
    answers = {str(number): {"prediction": 0, "answer": answer} for number, answer in ((1, 0), (2, 1), (3, -1))}
    _, out = run(tmp_path, "msvd_qa", answers, MSVD)
    found = out["profiles"]["qa"]
    assert found["rounded"] == {"Acc": 33.33, "what": 0.0, "who": 100.0}
    assert found["counts"] == {"what": [0, 2], "who": [1, 1], "all": [1, 3]}
    assert found["out_of_vocabulary_answers"] == 1


def test_a_prediction_outside_the_vocabulary_is_refused(tmp_path, capsys):
    for wrong in (-1, 3):
        answers = {str(number): {"prediction": wrong, "answer": -1} for number in (1, 2, 3)}
        assert run(tmp_path, "msvd_qa", answers, MSVD)[0] == 2
        assert f"id 1: prediction: expected a number from 0 to 2, got {wrong}" in capsys.readouterr().err


def test_a_question_that_is_listed_twice_is_named_where_the_reference_counts_answers(tmp_path, capsys):
    answers = {str(number): {"prediction": 0, "answer": answer} for number, answer in ((1, 0), (2, 1), (3, -1))}
    assert run(tmp_path, "msvd_qa", answers, MSVD + "2\t5\twhat is cut\tman\n")[0] == 2
    assert 'line 5: id "2": occurs before, in line 3; expected one row per question' in capsys.readouterr().err
    assert run(tmp_path, "causal_vidqa", vidqa_answers(), VIDQA + "a_b_1,d\n")[0] == 2
    assert 'line 14: video_id "a_b_1": occurs before, in line 8; expected one row per question' in capsys.readouterr().err


def vidqa_answers(**wrong):
    """All right, but those named: kind=video."""
    kinds = ("d", "e", "p", "pr", "c", "cr")
    return {
        f"a_b_{video}_{kind}": {"prediction": int(wrong.get(kind) == video), "answer": 0} for video in range(2) for kind in kinds
    }


def test_answer_and_reason_have_to_be_right_together(tmp_path):
    _, out = run(tmp_path, "causal_vidqa", vidqa_answers(p=0, pr=1, cr=0), VIDQA)
    values = out["profiles"]["qa"]["rounded"]
    assert (values["Pred-A"], values["Pred-R"], values["Pred"], values["CF-A"], values["CF"]) == (50.0, 50.0, 0.0, 100.0, 50.0)
    assert values["Acc"] == pytest.approx(100 * (2 + 2 + 0 + 1) / 8)


def test_the_summary_counts_predictions_for_descriptions_and_corrected_descriptions(tmp_path):
    questions = VIDQA.replace("a_b_1,d\n", "")
    _, out = run(tmp_path, "causal_vidqa", vidqa_answers(), questions, "--corrected")
    assert out["profiles"]["qa"]["rounded"]["Acc"] == 87.5
    assert out["corrected"]["qa"]["rounded"]["Acc"] == 100.0
    assert "has no labels, so corrected values believe the answers of" in " ".join(out["warnings"])


def test_a_missing_reason_is_named(tmp_path, capsys):
    questions = VIDQA.replace("a_b_1,pr\n", "")
    answers = {key: value for key, value in vidqa_answers().items() if key != "a_b_1_pr"}
    assert run(tmp_path, "causal_vidqa", answers, questions)[0] == 2
    assert "id a_b_1_pr: missing; the reason to a_b_1_p is needed for Pred" in capsys.readouterr().err


@pytest.mark.parametrize("benchmark", ["msvd_qa", "msrvtt_qa"])
def test_the_class_of_unknown_answers_can_be_predicted_and_is_never_right(tmp_path, benchmark):
    answers = {"1": {"prediction": 0, "answer": 0}, "2": {"prediction": 2, "answer": 1}, "3": {"prediction": 2, "answer": -1}}
    code, out = run(tmp_path, benchmark, answers, MSVD)
    assert (code, out["profiles"]["qa"]["rounded"]["Acc"]) == (0, 33.33)
    assert out["profiles"]["qa"]["rounded"]["what"] == 0.0


def test_ids_of_open_questions_may_be_called_qid(tmp_path):
    answers = {str(number): {"prediction": 0, "answer": answer} for number, answer in ((1, 0), (2, 1), (3, -1))}
    _, out = run(tmp_path, "msrvtt_qa", answers, MSVD.replace("id", "qid", 1))
    assert out["profiles"]["qa"]["rounded"]["Acc"] == 33.33


def test_answers_may_be_json_lines_as_evaluate_writes_them(tmp_path, capsys):
    lines = [json.dumps({"sample_id": key, **answer, "scores": [0.1]}) for key, answer in nextqa_answers().items()]
    _, as_lines = run(tmp_path, "nextqa", "\n".join(lines), NEXTQA)
    _, as_object = run(tmp_path, "nextqa", nextqa_answers(), NEXTQA)
    assert as_lines == as_object
    _, repeated = run(tmp_path, "nextqa", "\n".join([*lines, lines[0].replace("4", "0")]), NEXTQA)
    assert repeated["profiles"]["qa"]["rounded"]["Acc"] == 100.0
    assert any("id 007_0: occurs more than once; the last one counts (1 such)" in text for text in repeated["warnings"])
    assert run(tmp_path, "nextqa", "\n".join([lines[0], '{"prediction": 1}']), NEXTQA)[0] == 2
    assert "line 2: sample_id: missing" in capsys.readouterr().err
