"""Write the tables of ``benchmarks/README.md`` from the recorded results: ``data/bench/*.json``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "data" / "bench"
README = HERE / "README.md"


def main() -> None:
    tables = [section(json.loads(file.read_text()), file.name) for file in sorted(RESULTS.glob("*.json"))]
    text = README.read_text()
    marked = re.compile(r"(<!-- tables: .*? -->\n).*(<!-- end of tables -->)", re.DOTALL)
    README.write_text(marked.sub(lambda found: found[1] + "\n".join(tables) + found[2], text))


def section(result: dict[str, Any], name: str) -> str:
    machine, settings = result["machine"], result["settings"]
    head = (
        f"### {machine['processor']}, {machine['threads']} of {machine['cores']} cores (`{name}`)\n\n"
        f"PyTorch {machine['torch']}, {machine['instructions']}, load {machine['load']} at the start, "
        f"batch size {settings['batch_size']}, "
        f"{settings['pairs']} pairs of {settings['steps']} steps on {settings['dataset']}.\n\n"
    )
    lines = ["| line | ratio | lowest to highest | first | second | target |", "|---|---|---|---|---|---|"]
    lines += [row(line) for line in result["lines"]]
    return head + "\n".join(lines) + "\n\n" + floors(result) + "\n\n"


def row(line: dict[str, Any]) -> str:
    target = line["target"] or ""
    if "not_measured" in line:
        return f"| {line['name']} | not measured: {line['not_measured']} | | | | {target} |"
    if "value" in line:
        return f"| {line['name']} | {line['value']:.3g} {line['unit']} | | | | {target} |"
    sides = [f"{side['name']}: {side['rate']:,.0f} {line['unit']}" for side in (line["over"], line["under"])]
    spread = f"{line['low']:.2f} to {line['high']:.2f}"
    return f"| {line['name']} | **{line['ratio']:.2f}** | {spread} | {sides[0]} | {sides[1]} | {target} |"


def floors(result: dict[str, Any]) -> str:
    found = result["floors"]
    lines = [
        "| precision | matrix products | copies | arithmetic | traffic | both | a step reaches |",
        "|---|---|---|---|---|---|---|",
    ]
    for precision, floor in found.items():
        rate = reached(result["lines"], precision)
        share = f"{rate:,.0f} images/s, {rate / floor['both']:.0%} of both" if rate else ""
        lines.append(
            f"| {precision} | {floor['matrix_rate'] / 1e9:,.0f} GFLOP/s "
            f"| {floor['copy_rate'] / 1e9:,.0f} GB/s "
            f"| {floor['arithmetic']:,.0f} images/s | {floor['traffic']:,.0f} images/s "
            f"| {floor['both']:,.0f} images/s | {share} |"
        )
    return "\n".join(lines)


def reached(lines: list[dict[str, Any]], precision: str) -> float | None:
    for line in lines:
        for side in (line.get("over"), line.get("under")):
            if side and side["name"] == precision:
                return float(side["rate"])
    return None


if __name__ == "__main__":
    main()
