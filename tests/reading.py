"""Reading a source in tests: its clips and the report, or the refusal."""

import pytest

from miga_lib.readers import DataError, Report


def plain(items, **_):
    """No bar of progress."""
    return items


def reading(reader, layout, by_id=False):
    """``read(source, layout)`` gives the clips, as a list or by id, and the report;
    ``refused(message, source, layout)`` expects that they are refused."""

    def read(source, layout=layout):
        report = Report()
        clips = list(reader.read(source, layout, report, plain))
        return {clip.id: clip for clip in clips} if by_id else clips, report

    def refused(message, *arguments):
        with pytest.raises(DataError, match=message):
            read(*arguments)

    return read, refused
