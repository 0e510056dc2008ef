"""The network that the tests of model files save, damage and load."""

import numadelta as nd
from mlp_reference import randomize

SETTINGS = {
    "layer_sizes": [4, 6, 3],
    "activation": "tanh",
    "loss": "squared_error",
    "weight_decay": 0.25,
    "initialization": "he",
    "dtype": "float64",
    "seed": 7,
}


def make_net(**changes):
    return randomize(nd.MLP(**SETTINGS | changes))
