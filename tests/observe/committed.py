"""What `observe/` has: the dashboard's queries and the rules of the alerts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml


def queries() -> dict[str, str]:
    """Returns the dashboard's queries, as Grafana would send them, by panel and legend."""
    panels = json.loads(Path("observe/dashboard.json").read_text(encoding="utf-8"))["panels"]
    return {
        f"{panel['title']}: {target['legendFormat']}": _filled(target["expr"])
        for panel in panels
        for target in panel["targets"]
    }


def rules() -> list[dict[str, Any]]:
    """Returns the rules of the alerts."""
    groups = yaml.safe_load(Path("observe/alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _filled(expression: str) -> str:
    return expression.replace("$__rate_interval", "1m").replace("$instance", ".+")
