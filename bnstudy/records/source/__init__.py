"""Which code decides a number: a digest over definitions, wherever they are and however they are written."""

from bnstudy.records.source.outside import outside_digest
from bnstudy.records.source.reach import Code, Definition, digest_of

__all__ = ["Code", "Definition", "digest_of", "outside_digest"]
