"""JSON lines, and a reader that goes away."""

from __future__ import annotations

import io
import json
import os

from server.logs import make_logger, unbuffered


def test_a_line_is_one_json_object() -> None:
    stream = io.StringIO()
    log = make_logger(stream, "info")
    log.debug("not shown")
    log.info("refused", field="k", message="found ж\nand a second line")
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert entry.pop("time").endswith("Z")
    assert entry == {"event": "refused", "level": "info", "field": "k", "message": "found ж\nand a second line"}


def test_an_exception_is_a_traceback_in_one_line() -> None:
    stream = io.StringIO()
    try:
        raise KeyError("who")
    except KeyError as error:
        make_logger(stream, "error").error("internal error", exc_info=error)
    entry = json.loads(stream.getvalue())
    assert entry["exception"].startswith("Traceback (most recent call last):")
    assert entry["exception"].endswith("KeyError: 'who'")


def test_a_reader_that_went_away_fails_no_call() -> None:
    read, write = os.pipe()
    with unbuffered(write) as stream:
        log = make_logger(stream, "info")
        log.info("first")
        assert json.loads(os.read(read, 1000))["event"] == "first"
        os.close(read)
        log.info("second")
        log.info("third")
    os.close(write)
