"""The network that the tests of model files save, damage and load; and files of each version."""

import base64
import zlib

import numadelta as nd
from mlp_reference import randomize

SETTINGS = {
    "layer_sizes": [4, 6, 3],
    "activation": "tanh",
    "loss": "squared_error",
    "weight_decay": 0.25,
    "dropout": 0.5,
    "input_dropout": 0.125,
    "initialization": "he",
    "dtype": "float64",
    "seed": 7,
}

NOTES = {"labels": ["no", "yes"], "scale": 255}


def make_net(**changes):
    return randomize(nd.MLP(**SETTINGS | changes))


def unpacked(text):
    return zlib.decompress(base64.b64decode(text))


# Files as they were once written; they must load for ever.  Parameters are -1/2, -3/8, ..., 1/2.

GOLDEN_SETTINGS = {
    "layer_sizes": (2, 2, 1),
    "activation": "tanh",
    "loss": "squared_error",
    "weight_decay": 0.25,
    "initialization": "he",
    "dtype": "float32",
    "seed": 7,
}

# Settings at the top level, no dropout and no notes.
VERSION_1 = unpacked(
    "eNqlVMFOwkAQ3QqawEUPfkDlUk0KQdAQ0ejNg4jphYMh2mzoYokVsK0YJCT8g7/A0Q/whNz8Ff9CZ8OsDE01JCx5tD"
    "u7M/P2TWetSiKZZbOxw45v35PfONJsm7mCO8LPtbt9jW2xt8Rsn3q+XtWq1rXGemxgOCJo+EZZN05qhXzRMHWj2fFD"
    "n7ftjg8hYOWce4EAe+DyroD57p6pD/UVRnoAHDKAe0AL0AY4aCsDdHyX9ifAA4DjHgHwACHacoAq4BJgoZ9JYvTQxw"
    "cEmK+DsWm+/YhfgH4hQvG8wzXqq87jIac+yWmTvC9oj/rXAQWSn75LXjcRbjJHg/DqoS3853wZoplcc2O08tA3iOGo"
    "NHnEmnA8n8C62OTMPsbxY3I8474WaukiL5vUt0F0pBzyWG+pz2EkrqpPi+jA8UxK+2U0cpFDlLeDvpJTl+yhvk2ioc"
    "pVRL6ZP74vEfPtlwBDhLXQ55sXpbrq8xT0eeiKkKs2H+M29Yxv8+bBUk1+ZK7c5kDhg7HphLERgE2Q1inMAVMAO7Mq"
    "2lo2sXiRyWtKIs3mY6TJ//m1FvWTwozx7KkFvy+I9CuTVVnfkOY1+MkqfSbl7Ac+xq2+"
)

# With dropout 1/2, input_dropout 1/8 and NOTES.
VERSION_2 = unpacked(
    "eNqlVc1O20AQ3pBSiVzg0AdwczGVAuJXUVFFbxUiBfnCASFkbZNNHZEmrr0JClEk3oErRyQegVvgMXibdha+hclqgxBs"
    "9MX2eH6+mZ0dR7XihyXxuD6L8Hrn+h9WSXwSiZINlS130kFBLIjL2Uc9e73YP9iLDguiL4ZhQ+X1LNwKwm8H62vVsBKE"
    "zW6mM9mJuxm5oDc/ZDtXJM8TmSp6XvxSCUbBO1ZpSBzKhBNCi9AhNCDbIgS4N/Ie4Q9BQkcR2gQN2TJhj/CTEMGuwnz0"
    "YZMRcsTrwjePt+bY5bDTgOX5G++47ZDxtTaniJMhT59+GzkMGMeY8TyD3I135PDl96uEYycXE6PO8uhDpl+oR5nV2LxL"
    "PLVtwzb3cLQ1/Is9lMhPYR9jlnPGauXGOIVeC7VPwCtm/VBndeQcVtAfpj6bjt8Gi5vi2oNvnw/X3vZDyuziN/hdncLP"
    "+m+xfZKoue2N1+xhghqVPflr1CxlOty2yfbYxloH3/KU86I8Z7lKGDn6HfjVU3rcPSO/2Nn3nQfu0+U2cGIce7jXWX2V"
    "ZzZsAiNPLpL1se3DaRw12xN7viwn4zeamOvzu9UjO9fnaK7rRGlpx/oV1OzVP9abG68a6l8r7x7rROFWiLuxEOcEMQat"
    "bXom3BHE96hWmFkqTn64zGfJoCSe13nB/D9/xlw7U5gr5D43YXdPnp7KFNVmPxrxDP1MZ9w8PP0HEcbT2g=="
)
