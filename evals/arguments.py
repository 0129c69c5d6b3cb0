"""Types of options: argparse calls them by their names when a text is none of them."""

from argparse import ArgumentTypeError
from math import isfinite
from pathlib import Path


def count(text: str) -> int:
    """A whole number from 0 on; `10_000` and `10,000` are one."""
    return _from(0, text)


def positive(text: str) -> int:
    """A whole number from 1 on."""
    return _from(1, text)


def seconds(text: str) -> float:
    """A number of seconds above 0."""
    value = float(text)
    if not 0 < value < 1e6:
        raise ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value


def number(text: str) -> float:
    """A finite number."""
    value = float(text)
    if not isfinite(value):
        raise ArgumentTypeError(f"{text} is not a finite number")
    return value


def page(text: str) -> Path:
    """Where an HTML page may be written: to a new file, an empty one, a pipe, or in place of another page."""
    path = Path(text)
    if path.is_file():
        try:
            with path.open("rb") as file:
                begin = file.read(15)
        except OSError as error:
            raise ArgumentTypeError(f"{text}: {error.strerror}") from None
        if begin and begin.lower() != b"<!doctype html>":
            raise ArgumentTypeError(f"{text} exists and is no HTML page; choose another name, or remove it")
    return path


def _from(least: int, text: str) -> int:
    value = int(text.replace(",", "").replace("_", ""))
    if value < least:
        raise ArgumentTypeError(f"{value} is below {least}")
    return value
