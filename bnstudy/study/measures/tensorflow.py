"""The article's network in a real TensorFlow, trained by a script in an environment of its own."""

from __future__ import annotations

from bnstudy.data import Dataset
from bnstudy.other_specs import TensorFlowSpec
from bnstudy.study.tables import Table


def measure(spec: TensorFlowSpec, dataset: Dataset) -> tuple[dict[str, Table], dict[str, str]]:
    raise NotImplementedError
