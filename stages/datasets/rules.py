"""Every rule by which a published record is repaired, or kept as it is and counted; the names that quality.json uses.

What is neither here nor valid is a DatasetError with file and record.
"""

from __future__ import annotations

REPAIRS = {
    "placeholder_window_dropped": "the query cannot be answered in this video; its placeholder window is no label, so no spans",
    "window_reversed_swapped": "the window ended before it began; its bounds were swapped",
    "window_end_clamped": "the window ended after the video; its end was set to the duration",
    "window_end_rounded": "the window ended after the video by less than a millionth of a second: 70.29 of 70.28999999999999",
    "window_start_clamped": "the window began before the video; its start was set to 0",
    "video_id_number_as_text": "the video id was a number; it is kept as text",
    "query_id_counted": "the file has no query ids; they were counted from 0 through the file, as the JSON lines forms do",
    "query_id_by_text": "the file has no query ids; the last test query with the same text gives it, as the JSON lines form does",
    "byte_order_mark_dropped": "the file began with a byte order mark",
    "blank_line_skipped": "a line without a record",
    "frame_times_computed": "no times are published for the frames of the video; they follow from its length by the rule",
    "segment_from_question": "no segment is published for this question; the times in the question's own record are taken",
}

KEPT = {
    "window_zero_length": "the window has no length",
    "window_shorter_than_clip": "the window is shorter than one clip, but has a length",
    "window_whole_video": "the window is the whole video: no clip lies outside",
    "window_repeated": "the record names one window twice",
    "windows_overlap": "windows of the record overlap",
    "window_mixes_int_and_float": "one bound is an integer, the other is not",
    "video_shorter_than_5_seconds": "the video lasts less than 5 seconds; some methods leave it out of training",
    "duration_differs_within_video": "another record gives the same video another duration",
    "duration_differs_from_id": "the span in the video id is not the duration",
    "video_id_starts_with_sign": "the video id begins with '-' or '_'",
    "video_id_outer_blanks": "the video id begins or ends with blanks",
    "query_id_repeated": "the query id occurs before in this file: it names the text, not the record",
    "query_repeated_in_video": "the same text, but for outer blanks, is asked before about the same video",
    "query_outer_blanks": "the text begins or ends with blanks",
    "query_control_characters": "the text holds line breaks or other control characters",
    "query_non_ascii": "the text holds characters outside ASCII",
    "query_exceeds_clip_context": "more than 75 words, so more than the 77 tokens that CLIP reads",
    "saliency_all_zero": "all raters gave 0 to all clips",
    "clips_and_windows_disagree": "the rated clips are not the clips of the windows",
    "clips_unsorted": "the rated clips are not in ascending order",
    "options_equal": "two options have the same text",
    "answer_option_repeated": "two options have the text of the answer; the first of them is the answer's place",
    "option_outer_blanks": "an option begins or ends with blanks",
    "option_non_ascii": "an option holds characters outside ASCII",
    "question_without_evidence": "evidence is published for this split, but none for this question",
    "evidence_video_without_question": "evidence is published for a video that no question of the split is about",
    "evidence_without_question": "evidence is published for a question that the split does not have",
    "frame_times_repeat": "the video has fewer frames than are taken, so some are taken twice",
    "frame_times_after_duration": "the last frame was shown after the duration, which is rounded to whole seconds",
    "segment_differs_from_question": "the published segment is not that in the question's own record; the segment is taken",
    "relation_repeated": "the file names one relation twice",
    "video_without_relation": "no relation is annotated in this video",
    "box_outside_frame": "a box reaches beyond the frame",
    "unknown_key": "the record has a key that no reader of this format knows; it is kept in `published`",
}

MEANING = REPAIRS | KEPT
