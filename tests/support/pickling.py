"""The one place of the tests that unpickles: what was pickled here, as it goes to another process or program."""

import pickle


def sent(value):
    """A value as another process gets it."""
    return pickle.loads(pickle.dumps(value))


def unpickled(data):
    """What was pickled here, as any program reads it."""
    return pickle.loads(data)
