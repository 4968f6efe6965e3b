"""A whole config file, checked: the settings of all sections and the cluster templates."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from spotcluster import wording
from spotcluster.config.names import find
from spotcluster.config.origins import Origin
from spotcluster.config.settings import (
    AwsSettings,
    GlobalSettings,
    KeySettings,
    Permission,
    PluginSection,
    Settings,
    Volume,
    key_location,
)
from spotcluster.config.template import Template
from spotcluster.errors import ConfigError, UsageError


class Config(Settings):
    """What a config file says.

    Attributes
    ----------
    path : Path or None
        The file, None when it did not come from one.
    clusters : dict of str to Template
        The complete templates, EXTENDS resolved.
    incomplete : dict of str to tuple of str
        The templates that are there for others to extend, each with what it lacks.
    files : tuple of str
        The files that were read, those that are included too.
    origins : dict of str to dict of str to Origin
        Where each value comes from: by section (``cluster NAME``, ``aws info``, ``key NAME``, ...;
        of a cluster, EXTENDS resolved), then by key in lower case. What has none is a default.
    """

    path: Path | None = None
    global_settings: GlobalSettings = GlobalSettings()
    aws: AwsSettings = AwsSettings()
    keys: dict[str, KeySettings] = Field(default_factory=dict)
    clusters: dict[str, Template] = Field(default_factory=dict)
    plugins: dict[str, PluginSection] = Field(default_factory=dict)
    volumes: dict[str, Volume] = Field(default_factory=dict)
    permissions: dict[str, Permission] = Field(default_factory=dict)
    incomplete: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    files: tuple[str, ...] = Field(default=(), exclude=True)
    origins: dict[str, dict[str, Origin]] = Field(default_factory=dict, exclude=True, repr=False)

    def template(self, name: str | None = None) -> Template:
        """Return the template `name`; without a name the default one, or the only one there is.

        Raises
        ------
        UsageError
            There is no such template, or none can be chosen without a name.
        ConfigError
            The template is there for others to extend, and lacks something itself.
        """
        place = f" in {self.path or 'the config'}"
        listed = f"The templates there are: {wording.listed(self.clusters)}."
        if not self.clusters and self.path:
            listed = "`spotcluster help config` prints a config that has some."
        elif not self.clusters:
            place = ": there is no config file yet"
            listed = "`spotcluster config init` writes one."
        wanted = name or self.global_settings.default_template
        if wanted is None:
            if len(self.clusters) == 1:
                return next(iter(self.clusters.values()))
            if not self.clusters:
                raise UsageError(f"There is no cluster template{place}.", listed)
            raise UsageError(
                f"There are several cluster templates{place}, and no DEFAULT_TEMPLATE.",
                f"Choose one with -c: {', '.join(self.clusters)}.",
            )
        found = find(self.clusters, wanted)
        if found:
            return self.clusters[found]
        lacking = find(self.incomplete, wanted)
        if lacking:
            raise ConfigError(self.incomplete[lacking], listed)
        raise UsageError(
            f"There is no cluster template '{wanted}'{place}.{wording.hint(wanted, self.clusters)}",
            listed,
        )

    def folder_of(self, section: str) -> Path:
        """Return where the file is that has a section: its relative paths begin there."""
        found = [one.source for one in self.origins.get(section, {}).values()]
        return Path(found[0] if found else self.path or "config").absolute().parent

    def key_location(self, keyname: str) -> Path:
        """Return where the private key of `keyname` is on this computer, or would be."""
        found = self.keys.get(keyname)
        return found.key_location if found else key_location(keyname)

    def with_key(self, template: Template) -> Template:
        """Return the template with the location of its key, if it says none itself."""
        if template.key_location:
            return template
        return template.model_copy(update={"key_location": self.key_location(template.keyname)})
