"""Small label shards."""

from table_rows import table_from_rows

from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.footer import Footer


def label_table(count=3, image="a.jpg", failed=1):
    def row(number):
        bad = number < failed
        return {
            "sample_id": f"demo/all/{image}#{number}",
            "dataset": "demo",
            "split": "all",
            "image": image,
            "person": number,
            "status": "failed" if bad else "ok",
            "error_code": "fit_not_finite" if bad else None,
            "body_pose": None if bad else [0.5] * 63,
            "body_valid": not bad,
            "left_hand_valid": False,
            "right_hand_valid": False,
            "face_valid": False,
        }

    return table_from_rows([row(n) for n in range(count)], LABEL_SCHEMA)


def footer(**changes):
    known = {
        "config": {"solver": {"iterations": 20}, "weights": [1.0, 0.25]},
        "code_version": "0.1.0+abc",
        "manifest": {"id": "demo", "version": "1", "hash": "00"},
        "shard": "00000",
        "body_model": {"name": "open", "sha256": "11"},
        "estimators": ({"name": "mediapipe", "version": "0.10.21", "weights_sha256": "22", "licence": "Apache-2.0"},),
    }
    return Footer(**(known | changes))
