"""A few recorded runs on the embedded digits come out again, bit for bit, wherever the suite runs.

On another processor, or with other libraries, rounding differs: there they come close.
"""

from __future__ import annotations

import pytest

from bnstudy.records.provenance import environment
from bnstudy.study.verify import rerun
from tests.make_digits_records import SPECS, STORE


def same_environment(record):
    here = environment()
    # What decides nothing but rounding; sharing rounds nothing.
    return (
        all(record.provenance[key] == value for key, value in here.items()) or record.spec.kind == "sharing"
    )


def test_there_is_a_record_of_each():
    assert STORE.names() == sorted(spec.name for spec in SPECS)
    assert len(STORE.scan().sound) == len(SPECS)
    # As they were first written: that format is still read. Made again, they would have today's.
    assert {record.format for record in STORE.records()} == {2}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name[:8])
def test_it_comes_out_again(spec):
    record = STORE.read(spec.name)
    again = rerun(record, STORE)
    assert again.error is None, again.error
    if same_environment(record):
        assert again.equal, str(again)
    else:
        assert again.matches, str(again)
