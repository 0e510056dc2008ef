"""The network that the tests of model files save, damage and load; and a file of it."""

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


# A file as it was once written; it must load for ever.  Parameters are -1/2, -3/8, ..., 1/2,
# dropout is 1/2, input_dropout 1/8, and the notes are NOTES.

GOLDEN_SETTINGS = {
    "layer_sizes": (2, 2, 1),
    "activation": "tanh",
    "loss": "squared_error",
    "weight_decay": 0.25,
    "initialization": "he",
    "dtype": "float32",
    "seed": 7,
}

GOLDEN = unpacked(
    "eNqlVcGOEkEQbRYxWS568ANmuYwmLBFwJbvZ6M2DgJkLiYaQySw0DhFhnOllg4Rk/8GrR/7BG+5n+DdaLa+l6DRms9vkMTM1"
    "XVWvXlf3BM38g2OxGUei1Xv/8jdGUTwRsYwGMq1MknlOPBbfC5t55vrtXacdfMiJmVj4A5n1U//M88879VrDL3v+cJqqNJqE"
    "05RC0Js30TiTZM/iKJH0/PRZ2Vt69xjFBXEoET4RRoQJYQDbGcHDvbZfEj4TIsyRhDFBwVYhtAktQgC/Mosxg09KyJBvitg8"
    "X9Xyy+CnAMPzI95x3wXja3yukCdFna75Y9QwZxxDxvMr7Ha+LqHG+PJ7XUfPqkXn6LM6ZrCp/+hRYhrrd7FD2zF8MwdHo+EX"
    "rGGE+iTWMWQ1p0wrO8cV5o2gfQxeIeuHPtORc3iO/tD6nFhxByxvguslYrti2P6mHxLmF94hbnUPPxN/xNYpguamN26zhjE0"
    "KjnqV9AsYXO475CtsclVB9/Snv0iHXu5QVha8yeIq/b0uL1HLtjed+0HHtPmNrdy9Bzc+0xfWwuzPieoY+nYX6aPTR/u46jY"
    "mpj9ZTjpuMHOuf7obaNrzvVDOtdVLFVkjvUVppmr+1gfvrjVoX5avvexThR+CnGzFuKaINag9YqeCTcE8Tpo5g6O87sfLv1Z"
    "0iiK7bjO6f/tZ8z208KsUPvhjt8vivRPpqBZeKjNB/TTnfHj79MfD0bSzQ=="
)
