"""Revisions of the steps: numbers in the settings of every file, raised by hand so that old files are made again.

Raise the number of a step when its code gives other values than before for the same input and the same settings, by
more than rounding: `tests/tasks/test_revisions.py` compares the values and says so. Leave it for a faster way to the
same values, for a changed default (settings are in the hash themselves) and for an estimator (its version is).
"""

REVISIONS = {
    "synthesise": 4,
    "keypoints": 6,
    "body": 2,
    "hands": 1,
    "face": 2,
    "refine": 10,
    "groups": 4,
    "pixels": 4,
    "train": 1,
    "renderer": 2,
    "train_photometric": 4,
    "guava": 1,
    "predict": 3,
}
"""Step as files name it -> revision."""
