#!/usr/bin/env python3
"""Runs the proofs on the page of errata, block after block, and makes sure that none is missing.

    python3 tools/ci/check_errata.py        NumPy only
"""
import os
import re
import sys

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "Sources", "Engine",
                    "Documentation.docc", "Errata.md")
with open(PAGE, encoding="utf-8") as file:
    page = file.read()
blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
numbers = {int(n) for group in re.findall(r"\*\*([\d, ]+)\.\*\*", page) for n in group.split(",")}
assert numbers == set(range(1, 31)), f"missing on the page: {sorted(set(range(1, 31)) - numbers)}"
scope = {}
for position, block in enumerate(blocks):
    # The line numbers of the page, so that a failure can be found.
    lines = page[:page.index(block)].count("\n")
    exec(compile("\n" * lines + block, PAGE, "exec"), scope)
asserts = sum(block.count("assert ") for block in blocks)
print(f"{len(numbers)} errata, {asserts} assertions in {len(blocks)} blocks hold")
sys.exit(0 if asserts else 1)
