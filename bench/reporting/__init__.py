"""From measurements to the report: its data, tables, plots and verdict, and the comparison of two."""

from collections.abc import Mapping
from typing import Any

Report = Mapping[str, Any]
"""What report.json holds, or a part of it: `figures.py` and `run.py` make it."""
