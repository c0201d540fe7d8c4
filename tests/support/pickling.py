"""The one place of the tests that unpickles: what they have pickled themselves, as it goes to another process."""

import pickle


def sent(value):
    """A value as another process gets it."""
    return pickle.loads(pickle.dumps(value))
