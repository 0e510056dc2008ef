"""The file ``train.json`` beside the checkpoints: the options that a training was begun with."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numadelta
from numadelta import files
from numadelta.checkpoint import CheckpointError
from numadelta.cli.options import NAMED, UsageError, flags

NAME = "train.json"
FORMAT = {"format": "numadelta train", "version": 1}

# What may be given anew; the rest is as it was.  The data may have moved, but must be the same.
CHANGEABLE = ("epochs", "plot", "save", "dataset", "data_dir")


def refuse_used(folder: Path) -> None:
    """Refuse a new training in the folder of another."""
    if numadelta.Checkpoints(folder).files():
        raise FileExistsError(
            f"{folder} holds checkpoints of another training; {command(folder)} goes on with it, "
            "another folder starts anew"
        )


def command(folder: Path) -> str:
    """Return what to type to go on."""
    text = str(folder)
    quoted = subprocess.list2cmdline([text]) if sys.platform == "win32" else shlex.quote(text)
    return f"numadelta train --resume {quoted}"


def write(folder: Path, options: dict[str, Any]) -> None:
    """Note the options of a training, with paths that are good in other folders, too."""
    paths = {
        name: os.path.abspath(options[name])
        for name in ("dataset", "data_dir", "checkpoint", "plot", "save")
        if options[name] is not None and not (name == "dataset" and options[name] in NAMED)
    }
    content = {**FORMAT, "numadelta": numadelta.__version__, "options": options | paths}
    text = json.dumps(content, indent=1) + "\n"
    files.replace(folder / NAME, text.encode())  # also of a link, as all in this folder


def read(folder: Path, given: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the training in a folder, with what is given anew.

    `known` has the names of all options.
    """
    if refused := [name for name in given if name not in CHANGEABLE]:
        raise UsageError(
            f"--resume takes the options of the training as they were, so {flags(refused)} cannot "
            f"be given; only {flags((*CHANGEABLE, 'json', 'quiet'))} can"
        )
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} to resume from")
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{folder} has no {NAME}, which `numadelta train --checkpoint` writes"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT["format"]:
        raise CheckpointError(f"{path} is no file of `numadelta train`")
    if content.get("version") != FORMAT["version"]:
        raise CheckpointError(f"{path} comes from another version of numadelta")
    options = content.get("options")
    if not isinstance(options, dict) or not options.keys() <= known.keys():
        raise CheckpointError(f"{path} is damaged: its options are not those of a training")
    options = known | options  # those that came later were at their defaults
    if not isinstance(options["epochs"], int):
        raise CheckpointError(f"{path} is damaged: epochs is {options['epochs']!r}")
    if not numadelta.Checkpoints(folder).files():
        raise FileNotFoundError(
            f"there is no checkpoint in {folder} to go on with; --checkpoint with another folder "
            "begins anew"
        )
    if given.get("epochs", options["epochs"]) < options["epochs"]:
        raise UsageError(
            f"--epochs is {given['epochs']}, but the training was begun with {options['epochs']}; "
            "with --resume it can only be larger"
        )
    # The folder may have been moved.
    return options | given | {"checkpoint": str(folder)}
