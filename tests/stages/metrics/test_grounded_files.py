"""NExT-GQA and STAR prediction files through the score stage, written by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stages import score

EVIDENCE = {
    "v1": {"duration": 20, "fps": 30.0, "location": {"0": [[4, 8]], "1": [[0, 2], [12, 16]]}},
    "v2": {"duration": 10, "fps": 30.0, "location": {"0": [[1, 3]]}},
}
QUESTIONS = "video_id,qid,type,question,answer,a0,a1,a2,a3,a4\n" + "".join(
    f"{video},{qid},{kind},why,b,a,b,c,d,e\n"
    for video, qid, kind in [("v1", 0, "CW"), ("v1", 1, "TP"), ("v2", 0, "TN"), ("v3", 0, "DO")]
)
QA = {"v1_0": {"prediction": 1, "answer": 1}, "v1_1": {"prediction": 0, "answer": 1}, "v2_0": {"prediction": 1, "answer": 1}}
SECONDS = {"v1_0": [4.0, 8.0], "v1_1": [12.0, 20.0], "v2_0": [5.0, 9.0]}
FRACTIONS = {"v1_0": [0.1, 0.3], "v1_1": [0.6, 0.8], "v2_0": [0.1, 0.3]}


@pytest.fixture
def run(tmp_path, capsys):
    """Score the given files; exit code, output, what was said."""

    def scored(*options: str, benchmark: str = "nextgqa", **files: object):
        arguments = ["--benchmark", benchmark, "--out", str(tmp_path / "out.json"), *options]
        for role, content in files.items():
            path = tmp_path / role
            path.write_text(content if isinstance(content, str) else json.dumps(content))
            arguments += ["--" + role.replace("_", "-"), str(path)]
        code = score.main(arguments)
        out = json.loads((tmp_path / "out.json").read_text()) if code == 0 else None
        return code, out, capsys.readouterr().err

    return scored


def test_all_profiles_of_complete_files(run):
    code, out, _ = run(
        ground_truth=EVIDENCE,
        questions=QUESTIONS,
        qa=QA,
        segments_seconds=SECONDS,
        segments_normalised=FRACTIONS,
        subset=["v1_0"],
    )
    assert code == 0
    found = out["profiles"]
    assert found["post_hoc"]["rounded"]["mIoP"] == 50.0  # 1, 1/2, 0
    assert found["post_hoc"]["rounded"]["Acc&GQA"] == 33.3
    assert found["pre_hoc"]["rounded"]["mIoP"] == 83.3  # [2, 6] half inside [4, 8], [12, 16] inside, [1, 3] inside
    assert found["merge_itsc"]["rounded"]["mIoP"] == 66.7  # [4, 6], [12, 16], and [5, 9] where nothing is shared
    assert found["post_hoc_subset"]["n_questions"] == 1
    assert found["post_hoc"]["FR"]["unrounded"] == pytest.approx(50)
    assert found["qa"]["counts"] == {"Why": [1, 1], "Bef&Aft": [1, 2], "Acc_C": [1, 1], "Acc_T": [1, 2], "Acc": [2, 3]}
    assert (out["n_scored"], out["n_skipped"]) == (3, 0)


def test_segments_from_frame_weights_alone(run):
    weights = np.full(32, 0.01)
    weights[10:13] = 1.0
    times = [0.5 * index for index in range(32)]
    code, out, _ = run(
        "--profile",
        "post_hoc",
        "pre_hoc",
        ground_truth=EVIDENCE,
        frame_weights={"v1_0": weights.tolist()},
        frame2time={"v1": times},
    )
    assert code == 0
    assert out["profiles"]["post_hoc"]["unrounded"]["mIoU"] == pytest.approx(100 * 1 / 4)  # [5, 6] in [4, 8]
    assert "Acc&GQA" not in out["profiles"]["post_hoc"]["rounded"]
    assert out["n_skipped"] == 2


def test_corrected_values_let_the_first_frame_join_a_segment(run):
    files = {"frame_weights": {"v1_0": [0.9, 1.0, 0.1, 0.1]}, "frame2time": {"v1": [3.0, 5.0, 7.0, 9.0]}}
    _, out, _ = run(
        "--corrected", "--profile", "post_hoc", ground_truth={"v1": {**EVIDENCE["v1"], "location": {"0": [[4, 8]]}}}, **files
    )
    assert out["profiles"]["post_hoc"]["rounded"]["mIoU"] == 0.0  # the point 5
    assert out["corrected"]["post_hoc"]["rounded"]["mIoU"] == 20.0  # [3, 5] and [4, 8]


def test_question_without_a_segment_leaves_the_denominator_and_counts_in_corrected_values(run):
    code, out, _ = run("--corrected", "--profile", "post_hoc", ground_truth=EVIDENCE, segments_seconds={"v1_0": [4, 8]})
    assert code == 0
    assert out["profiles"]["post_hoc"]["rounded"]["mIoU"] == 100.0
    assert out["corrected"]["post_hoc"]["rounded"]["mIoU"] == 33.3
    assert "2 of 3 questions have no segment" in out["warnings"][0]


def test_profiles_that_lack_a_file_are_left_out_with_the_reason(run):
    _, out, _ = run(ground_truth=EVIDENCE, questions=QUESTIONS, qa=QA)
    assert list(out["profiles"]) == ["qa"]
    assert "post_hoc not scored: needs --frame-weights" in " ".join(out["warnings"])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"segments_seconds": {"v1_0": [1, "2"]}}, r"id v1_0: expected [start, end]"),
        ({"segments_seconds": {"v1_0": [1, 2]}, "qa": {"v2_0": QA["v2_0"]}}, "no answer to v1_0, which has a segment"),
        ({"segments_seconds": {"v9_0": [1, 2]}}, "no question of the evidence file has a segment"),
        ({"frame_weights": {"v1_0": [0.5, 1.0]}, "frame2time": {"v1": [1.0]}}, "a list of numbers, one per frame"),
        (
            {"frame_weights": {"v1_0": [0.5, 1.0]}, "frame2time": {"v2": [1.0, 2.0]}},
            "video v1: no entry; question v1_0 has 2 weights",
        ),
    ],
)
def test_broken_files_are_named(run, files, said):
    code, out, message = run("--profile", "post_hoc", ground_truth=EVIDENCE, **files)
    assert (code, out) == (2, None)
    assert said in message


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"duration": "20", "location": {"0": [[1, 2]]}}, "video v1: duration: expected seconds"),
        ({"duration": 1e308, "location": {"0": [[1, 2]]}}, "video v1: duration: expected seconds"),
        ({"duration": 20}, "video v1: expected duration and location"),
        ({"duration": 20, "location": {"0": []}}, "location: question 0: expected [[start, end], ...], got []"),
    ],
)
def test_broken_evidence_is_named(run, entry, said):
    code, _, message = run(ground_truth={"v1": entry}, segments_seconds={"v1_0": [1, 2]})
    assert code == 2
    assert said in message


def test_missing_answers_are_listed_in_strict_mode_and_left_out_otherwise(run):
    files = {"ground_truth": EVIDENCE, "questions": QUESTIONS, "qa": {"v1_0": QA["v1_0"]}}
    code, _, message = run("--profile", "qa", **files)
    assert code == 3
    assert "v1_1" in message
    assert "v2_0" in message
    code, out, _ = run("--profile", "qa", "--ids", "intersection", **files)
    assert code == 0
    assert out["profiles"]["qa"]["rounded"] == {"Why": 100.0, "Acc_C": 100.0, "Acc": 100.0}


def test_star_reports_categories_and_their_mean(run):
    names = {"Interaction": (2, 1), "Sequence": (1, 1), "Prediction": (4, 1), "Feasibility": (1, 0)}
    qa, table, location = {}, "video_id,qid,type\n", {}
    for category, (total, right) in names.items():
        for number in range(total):
            qid = f"{category}_T1_{number}"
            qa[f"V_{qid}"] = {"prediction": 2, "answer": 2 if number < right else 0}
            table += f"V,{qid},T1\n"
            location[qid] = [[0, 5]]
    segments = {key: [0, 5] for key in qa}
    code, out, _ = run(
        benchmark="star",
        ground_truth={"V": {"duration": 9, "location": location}},
        questions=table,
        qa=qa,
        segments_seconds=segments,
    )
    assert code == 0
    values = out["profiles"]["qa"]["rounded"]
    assert values == {"Interaction": 50.0, "Sequence": 100.0, "Prediction": 25.0, "Feasibility": 0.0, "Acc": 37.5, "Mean": 43.75}
    assert out["profiles"]["post_hoc"]["rounded"]["mIoU"] == 100.0
    assert out["profiles"]["post_hoc"]["rounded"]["Acc&GQA"] == 37.5


def test_star_question_of_an_unknown_category_is_named(run):
    code, _, message = run(benchmark="star", ground_truth=EVIDENCE, questions="video_id,qid\nv1,Else_T1_0\n", qa=QA)
    assert code == 2
    assert 'category "Else" is none of Interaction' in message


def test_corrected_values_do_not_believe_the_answers_of_the_file_under_any_profile(run):
    copied = {key: {"prediction": entry["prediction"], "answer": entry["prediction"]} for key, entry in QA.items()}
    files = {"ground_truth": EVIDENCE, "questions": QUESTIONS, "qa": copied, "segments_seconds": SECONDS}
    code, out, _ = run("--profile", "post_hoc", **files)
    assert (code, out["profiles"]["post_hoc"]["rounded"]["Acc&VQA"]) == (0, 100.0)  # as the references have it
    for profile in ("post_hoc", "qa"):
        code, _, message = run("--corrected", "--profile", profile, **files)
        assert code == 2
        assert "id v1_1: answer: 0, but the label is 1; corrected values need the answers of the labels (1 such)" in message


def test_corrected_values_accept_every_option_that_reads_like_the_answer(run):
    twice = QUESTIONS.replace("v1,1,TP,why,b,a,b,c,d,e", "v1,1,TP,why,b,b,b,c,d,e")
    files = {"ground_truth": EVIDENCE, "questions": twice, "qa": QA, "segments_seconds": SECONDS}
    _, out, _ = run("--corrected", "--profile", "post_hoc", "qa", **files)
    assert out["profiles"]["post_hoc"]["rounded"]["Acc&VQA"] == 66.7
    assert out["corrected"]["post_hoc"]["rounded"]["Acc&VQA"] == out["corrected"]["qa"]["rounded"]["Acc"] == 100.0


def test_corrected_values_of_answers_need_the_labels(run):
    files = {"ground_truth": EVIDENCE, "qa": QA, "segments_seconds": SECONDS}
    code, out, _ = run("--corrected", **files)
    assert (code, out["corrected"]) == (0, {})
    assert "corrected post_hoc not scored: needs --questions, whose labels say which answers are right" in " ".join(
        out["warnings"]
    )
    assert run("--corrected", "--profile", "post_hoc", **files)[0] == 2
    assert (
        run("--corrected", "--profile", "post_hoc", **{name: files[name] for name in ("ground_truth", "segments_seconds")})[0]
        == 0
    )
    known = "\n".join(line for line in QUESTIONS.splitlines() if not line.startswith("v2"))
    code, _, message = run("--corrected", "--profile", "post_hoc", questions=known, **files)
    assert code == 2
    assert "no question v2_0, whose answer is to be scored (1 such)" in message


STAR = {
    "V": {
        "duration": 9,
        "location": {f"{name}_T1_0": [[0, 5]] for name in ("Interaction", "Sequence", "Prediction", "Feasibility")},
    }
}
STAR_LABELLED = "video_id,qid,type,answer,a0,a1,a2,a3\n" + "".join(f"V,{qid},T1,c,a,b,c,d\n" for qid in STAR["V"]["location"])


def test_corrected_star_values_take_the_labels_and_need_their_columns(run):
    segments = {f"V_{qid}": [0, 5] for qid in STAR["V"]["location"]}
    files = {"ground_truth": STAR, "segments_seconds": segments}
    right = {key: {"prediction": 2, "answer": 2} for key in segments}
    _, out, _ = run("--corrected", benchmark="star", questions=STAR_LABELLED, qa=right, **files)
    assert out["corrected"]["qa"]["rounded"]["Mean"] == out["corrected"]["post_hoc"]["rounded"]["Acc&GQA"] == 100.0
    wrong = {**right, "V_Sequence_T1_0": {"prediction": 1, "answer": 1}}
    for profile in ("post_hoc", "qa"):
        assert run("--profile", profile, benchmark="star", questions=STAR_LABELLED, qa=wrong, **files)[0] == 0
        code, _, message = run("--corrected", "--profile", profile, benchmark="star", questions=STAR_LABELLED, qa=wrong, **files)
        assert code == 2
        assert "id V_Sequence_T1_0: answer: 1, but the label is 2" in message
    bare = "video_id,qid,type\n" + "".join(f"V,{qid},T1\n" for qid in STAR["V"]["location"])
    _, out, _ = run("--corrected", benchmark="star", questions=bare, qa=right, **files)
    assert (list(out["profiles"]), out["corrected"]) == (["post_hoc", "qa"], {})
    assert "corrected qa not scored" in " ".join(out["warnings"])
    assert "no column answer, a0, a1, a2, a3" in " ".join(out["warnings"])
