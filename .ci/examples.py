"""Writes the Python examples of README.md as modules for a type checker: `python .ci/examples.py FOLDER`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
readme = Path(__file__).resolve().parents[1] / "README.md"
examples = re.findall(r"^```python\n(.*?)^```$", readme.read_text(), re.S | re.M)
if not examples:
    sys.exit("README.md has no example in Python")
for number, code in enumerate(examples, start=1):
    (folder / f"readme_{number}.py").write_text(code)
