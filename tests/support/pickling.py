"""The one place of the tests that unpickles: what was pickled here, as it goes to another process or program."""

import pickle

import numpy as np


def sent(value):
    """A value as another process gets it."""
    return pickle.loads(pickle.dumps(value))


def unpickled(data):
    """What was pickled here, as any program reads it."""
    return pickle.loads(data)


def arrays_of_npz(file):
    """Every array of an NPZ that was written here, objects unpickled, as any program reads it."""
    with np.load(file, allow_pickle=True) as found:
        return dict(found)
