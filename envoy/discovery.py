"""What Envoy takes from files while it runs: listeners (LDS) and a filter's configuration (ECDS)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from envoy import configuration

TYPES = "type.googleapis.com/"


class Discovered:
    """A file of resources; `source` is what a `config_source` is to be for Envoy to read and watch it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.version = 0
        self.source = {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}

    def publish(self, kind: str, resources: list[dict[str, Any]]) -> None:
        """Moves a new version into place, which is what Envoy watches for."""
        self.version += 1
        typed = [{"@type": TYPES + kind, **resource} for resource in resources]
        following = self.path.with_suffix(".next.json")
        following.write_text(json.dumps({"version_info": str(self.version), "resources": typed}))
        following.rename(self.path)


class Listeners(Discovered):
    """The listeners of a configuration, taken out of it into a file; `made` has them, to be changed and published again."""

    def __init__(self, whole: configuration.Configuration, work: Path) -> None:
        super().__init__(work / "listeners.json")
        self.made: configuration.Configuration = {
            "static_resources": {"listeners": whole["static_resources"].pop("listeners")}
        }
        whole.setdefault("node", {"id": "local", "cluster": "local"})
        whole["dynamic_resources"] = {"lds_config": self.source}
        self.put()

    def put(self) -> None:
        """Publishes the listeners as they are now."""
        self.publish("envoy.config.listener.v3.Listener", self.made["static_resources"]["listeners"])


class NetworkFilter(Discovered):
    """The configuration of a listener's first filter, taken out of it into a file (ECDS); `plugin` is its part for Wasm."""

    def __init__(self, whole: configuration.Configuration, listener: str, work: Path) -> None:
        super().__init__(work / f"{listener}.filter.json")
        self.name = listener
        filters = configuration.listener(whole, listener)["filter_chains"][0]["filters"]
        self.typed = filters[0]["typed_config"]
        self.plugin = self.typed["config"]
        found = {"config_source": self.source, "type_urls": [TYPES + "envoy.extensions.filters.network.wasm.v3.Wasm"]}
        filters[0] = {"name": listener, "config_discovery": found}
        whole.setdefault("node", {"id": "local", "cluster": "local"})
        self.put()

    def put(self) -> None:
        """Publishes the configuration as it is now."""
        self.publish("envoy.config.core.v3.TypedExtensionConfig", [{"name": self.name, "typed_config": self.typed}])

    def counter(self, name: str) -> str:
        """Returns the name of one of Envoy's counters of this file, such as `config_reload`."""
        return f"extension_config_discovery.network_filter.{self.name}.{name}"
