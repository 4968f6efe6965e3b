"""The config file: an INI grammar in, typed and checked settings out."""

from spotcluster.config.config import Config
from spotcluster.config.node_types import NodeGroup, NodeTypes
from spotcluster.config.reader import (
    empty,
    examine,
    examine_bytes,
    hint,
    load,
    load_if_there,
    load_text,
)
from spotcluster.config.settings import (
    AwsSettings,
    GlobalSettings,
    KeySettings,
    Permission,
    PluginSection,
    Volume,
)
from spotcluster.config.template import Template
from spotcluster.plugins.loader import installed as installed_plugins

__all__ = [
    "AwsSettings",
    "Config",
    "GlobalSettings",
    "KeySettings",
    "NodeGroup",
    "NodeTypes",
    "Permission",
    "PluginSection",
    "Template",
    "Volume",
    "empty",
    "examine",
    "examine_bytes",
    "hint",
    "installed_plugins",
    "load",
    "load_if_there",
    "load_text",
]
