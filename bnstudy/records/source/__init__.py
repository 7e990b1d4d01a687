"""Which code decides a number: a digest over definitions, wherever they are and however they are written."""

from bnstudy.records.source.reach import Code, Definition

__all__ = ["Code", "Definition"]
