"""Samples for the tests of predictions, as the adapters yield them."""

import json

from stages.datasets.schema import MomentSample


def sample(number, *, duration=30.0, spans=((3.0, 9.0),), **more):
    record = {"qid": number, "vid": f"v{number}", "duration": duration, "relevant_windows": [list(span) for span in spans]}
    values = {
        "sample_id": str(number),
        "video_id": f"v{number}",
        "query_id": str(number),
        "query": f"query {number}",
        "duration": duration,
        "spans": tuple(spans),
        "published": json.dumps(record),
        "source": "made_up.jsonl",
        "record": number,
    }
    return MomentSample(**{**values, **more})
