"""From the config file to a `Config`, or to every problem that is in it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from spotcluster import files, wording
from spotcluster.config import environment, grammar, origins, sources
from spotcluster.config.config import Config
from spotcluster.config.grammar import Entry, Section
from spotcluster.config.inheritance import Inheritance
from spotcluster.config.names import find, split
from spotcluster.config.origins import Origin
from spotcluster.config.problems import Problem
from spotcluster.config.settings import (
    IGNORED,
    AwsSettings,
    GlobalSettings,
    KeySettings,
    Permission,
    PluginSection,
    Settings,
    Volume,
    key_location,
    there,
)
from spotcluster.config.sources import Sources
from spotcluster.config.template import Template
from spotcluster.errors import ConfigError
from spotcluster.plugins import loader

_Model = TypeVar("_Model", bound=Settings)

_REQUIRED = {"keyname": "any", "node_instance_type": "any.any"}
_MISSING = {
    "keyname": "is missing; it names a [key NAME].",
    "node_instance_type": "is missing, as in c5.xlarge.",
    "cidr_ip": "is missing; 0.0.0.0/0 would open the ports to everybody.",
    "volume_id": "is missing, as in vol-0123abcd; for EFS, FILE_SYSTEM_ID is in its place.",
    "setup_class": "is missing; it names the plugin's class, as in module.Class.",
}
_LISTS = ("userdata_scripts", "allow")
_UNWRITTEN = {"cluster": ("key_location",)}  # fields that no key of the file sets
_FORMER = {("permission", "protocol"): "ip_protocol"}
_ELSEWHERE = {"cluster": "extends", "global": "include"}  # keys that are acted on before


def hint(path: Path | None) -> str:
    """Return what to do about what is wrong in the config file `path`."""
    other = path is not None and path != files.expand(files.config_file())
    option = f"-c {shlex.quote(str(path))} " if other else ""
    return (
        f"Correct it: `spotcluster {option}config edit`. `spotcluster help config` prints one that"
        " is right."
    )


def load(path: Path | None = None, *, check_plugins: bool = True) -> Config:
    """Read a config file.

    Parameters
    ----------
    path : Path, optional
        The file; ``~/.spotcluster/config`` (or ``$SPOTCLUSTER_CONFIG``) by default.
    check_plugins : bool
        Whether to load the plugins' classes and check their settings. A command that ends things
        has no use for plugins, and is not to fail because of one.

    Raises
    ------
    UsageError
        There is no such file, or it cannot be read.
    ConfigError
        Something in it is wrong; all that is, is listed.
    """
    where = files.expand(path or files.config_file())
    return _config(sources.read(where), where, os.environ, check_plugins=check_plugins)


def load_if_there(path: Path | None = None, *, check_plugins: bool = True) -> Config:
    """Read a config file as `load` does; without a default file, what the environment says."""
    if path is None and not files.config_file().exists():
        return _config(Sources(), None, os.environ, check_plugins=check_plugins)
    return load(path, check_plugins=check_plugins)


def load_text(
    text: str,
    name: str,
    *,
    path: Path | None = None,
    check_plugins: bool = True,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Read the text of a config file; `name` is what messages call it.

    The environment changes nothing of it, unless one is given.
    """
    read = sources.read_text(text, name, path)
    return _config(read, path, environ or {}, check_plugins=check_plugins)


def examine(path: Path | None = None) -> tuple[Config, list[Problem]]:
    """Read a config file; return what is right in it, and every problem.

    Raises
    ------
    UsageError
        There is no such file, or it cannot be read.
    """
    where = files.expand(path or files.config_file())
    return _examined(sources.read(where), where, os.environ, check_plugins=True)


def examine_bytes(raw: bytes, path: Path) -> tuple[list[Problem], bool]:
    """Return every problem in what is to be written to `path`, and whether it holds secrets."""
    read, secret = sources.read_bytes(raw, path)
    return _examined(read, path, os.environ, check_plugins=True)[1], secret


def _config(
    read: Sources, path: Path | None, environ: Mapping[str, str], *, check_plugins: bool
) -> Config:
    config, problems = _examined(read, path, environ, check_plugins=check_plugins)
    if problems:
        raise ConfigError([str(problem) for problem in problems], hint(path))
    return config


def _examined(
    read: Sources, path: Path | None, environ: Mapping[str, str], *, check_plugins: bool
) -> tuple[Config, list[Problem]]:
    reading = _Reading(read.sections, read.problems, environ, check_plugins=check_plugins)
    config = reading.config(path).model_copy(update={"files": tuple(read.names)})
    # Files in the order in which they were read; a variable of the environment first.
    order = {name: number for number, name in enumerate(read.names)}
    found = sorted(
        dict.fromkeys(reading.problems), key=lambda one: (order.get(one.source, -1), one.line)
    )
    return config, found


def empty() -> Config:
    """Return the config that says nothing."""
    return Config()


class _Reading:
    """One pass over the sections; what is wrong is collected in `problems`."""

    def __init__(
        self,
        sections: Iterable[Section],
        problems: Iterable[Problem],
        environ: Mapping[str, str],
        *,
        check_plugins: bool,
    ) -> None:
        self.problems = list(problems)
        self.check_plugins = check_plugins
        self.origins: dict[str, dict[str, Origin]] = {}
        self.sections: dict[str, dict[str, Section]] = {
            kind: {} for kind in (*grammar.PLAIN, *grammar.NAMED)
        }
        for section in sections:
            self._sort(section)
        aws = self.sections["aws info"].get("") or Section("aws info", "", 0, "")
        own = environment.apply(aws.entries, environ)
        if own or aws.entries:
            self.sections["aws info"][""] = replace(aws, entries=own)
        for kind, found in self.sections.items():
            for section in found.values():
                if kind != "cluster":
                    self._note(section, {key: (one, ()) for key, one in section.entries.items()})
        if environ.get(environment.KEY):  # boto3 will find them; that they hold is worth showing
            place = Origin(f"${environment.KEY}", 0, "aws info")
            self.origins.setdefault("aws info", {})["aws_access_key_id"] = place

    def _note(self, section: Section, entries: Mapping[str, tuple[Entry, tuple[str, ...]]]) -> None:
        """Remember where the values of a section come from."""
        found = {
            _FORMER.get((section.kind, key), key): origins.of(entry, through)
            for key, (entry, through) in entries.items()
        }
        if found:
            self.origins[section.title] = found

    def _sort(self, section: Section) -> None:
        if section.kind not in self.sections:
            listed = [f"[{one}]" for one in grammar.PLAIN]
            listed += [f"[{one} NAME]" for one in grammar.NAMED]
            near = wording.hint(section.kind, self.sections) or f" There are {', '.join(listed)}."
            self.problems.append(section.problem(f"there is no such section.{near}"))
        elif section.kind in grammar.NAMED and not section.name:
            text = f"the section needs a name: [{section.kind} NAME]."
            self.problems.append(section.problem(text))
        else:
            self.sections[section.kind][section.name] = section

    def config(self, path: Path | None) -> Config:
        """Return the config; it is of use only if there are no problems."""
        general = self._plain("global", GlobalSettings)
        aws = self._plain("aws info", AwsSettings)
        keys = self._keys()
        volumes = self._named("volume", Volume)
        permissions = self._named("permission", Permission)
        plugins = self._plugins()
        named: dict[str, Mapping[str, Settings]] = {
            "volumes": volumes,
            "permissions": permissions,
            "plugins": plugins,
        }
        clusters, incomplete = self._clusters(keys, named, aws.region)
        self._check_default(general.default_template)
        return Config(
            path=path,
            global_settings=general,
            aws=aws,
            keys=keys,
            clusters=clusters,
            incomplete=incomplete,
            volumes=volumes,
            permissions=permissions,
            plugins=plugins,
            origins=self.origins,
        )

    def _check_default(self, name: str | None) -> None:
        clusters = self.sections["cluster"]
        if name and not find(clusters, name):
            entry = self.sections["global"][""].entries["default_template"]
            text = f"there is no [cluster {name}].{wording.hint(name, clusters)}"
            self._at(entry, text)

    def _plain(self, kind: str, model: type[_Model]) -> _Model:
        section = self.sections[kind].get("")
        return (section and self._model(model, section)) or model()

    def _named(self, kind: str, model: type[_Model]) -> dict[str, _Model]:
        read = {
            name: self._model(model, section, name=name)
            for name, section in self.sections[kind].items()
        }
        return {name: value for name, value in read.items() if value is not None}

    def _keys(self) -> dict[str, KeySettings]:
        """Read the keys; one without a location is where `createkey` writes it."""
        read = {}
        for name, section in self.sections["key"].items():
            usual = key_location(name)
            read[name] = self._model(KeySettings, section, name=name, key_location=usual)
        return {name: value for name, value in read.items() if value is not None}

    def _plugins(self) -> dict[str, PluginSection]:
        read = {}
        for name, section in self.sections["plugin"].items():
            settings = {key: one.value for key, one in section.entries.items() if one.value}
            settings.pop("setup_class", None)
            named = section.entries.get("setup_class")
            given = {"name": name, "settings": settings}
            if named and named.value:
                given["setup_class"] = loader.canonical(named.value)
            found = self._validated(PluginSection, given, section, section.entries)
            if found:
                read[name] = self._checked(found, section) if self.check_plugins else found
        return read

    def _checked(self, plugin: PluginSection, section: Section) -> PluginSection:
        """Check a plugin's settings; return it with them as a cluster is to remember them."""
        where = Path(section.source).absolute().parent
        settled, wrong = dict(plugin.settings), set[str]()
        try:
            settled = loader.settle(plugin.name, plugin.setup_class, settled, where)
        except loader.PluginError as error:
            wrong = self._refused(error, section)
        try:
            loader.make(plugin.name, plugin.setup_class, settled)
        except loader.PluginError as error:
            self._refused(error, section, but=wrong)
        return plugin.model_copy(update={"settings": settled})

    def _refused(
        self, error: loader.PluginError, section: Section, but: Collection[str] = ()
    ) -> set[str]:
        """Note what is wrong with settings, except for some; return which were."""
        for key, why in error.reasons:
            if key in but:
                continue
            entry = section.entries.get(key or "setup_class")
            if entry:
                shown = "" if key else f"'{entry.value}': "
                self._at(entry, f"{shown}{why}")
            else:
                self.problems.append(section.problem(why, key=key))
        return {key for key, _ in error.reasons}

    def _clusters(
        self,
        keys: Mapping[str, KeySettings],
        named: Mapping[str, Mapping[str, Settings]],
        region: str | None,
    ) -> tuple[dict[str, Template], dict[str, tuple[str, ...]]]:
        """Read the templates; return the complete ones, and what those that others extend lack."""
        sections = self.sections["cluster"]
        inherited = Inheritance(sections)
        merged = {name: inherited.entries(name) for name in sections}
        self.problems += inherited.problems
        complete, incomplete = {}, {}
        for name, section in sections.items():
            chains = {key: inherited.through(name, key) for key in merged[name]}
            self._note(
                section,
                {
                    key: (entry, chains[key] if len(chains[key]) > 1 else ())
                    for key, entry in merged[name].items()
                },
            )
            entries = self._known(merged[name], "cluster", Template)
            given: dict[str, Any] = {"name": name}
            for key, entry in entries.items():
                if key in named:
                    given[key] = self._mentioned(entry, named[key])
                elif key in _LISTS or entry.value:
                    given[key] = entry.value
            given.setdefault("region", region)
            given["key_location"] = self._key_of(entries.get("keyname"), keys)
            lacks = [key for key in _REQUIRED if key not in given]
            if lacks and name in inherited.parents:
                found = [section.problem(_MISSING[key], key=key) for key in lacks]
                incomplete[name] = tuple(map(str, found))
                # The values that are there are checked all the same, with the rest made up.
                self._validated(Template, {**_REQUIRED, **given}, section, entries)
                continue
            template = self._validated(Template, given, section, entries)
            if template:
                complete[name] = template
                self._check_scripts(template, entries)
        return complete, incomplete

    def _mentioned(self, entry: Entry, there: Mapping[str, Settings]) -> list[Settings]:
        """Return the sections that a list names; one that is wrong itself is passed over."""
        kind = entry.key.removesuffix("s")
        found = []
        for name in split(entry.value):
            known = find(self.sections[kind], name)
            if not known:
                near = wording.hint(name, self.sections[kind])
                self._at(entry, f"there is no [{kind} {name}].{near}")
            elif known in there:
                found.append(there[known])
        return found

    def _key_of(self, entry: Entry | None, keys: Mapping[str, KeySettings]) -> Path | None:
        if entry is None or not entry.value:
            return None
        name = entry.value
        if name in keys:
            return keys[name].key_location
        if name not in self.sections["key"] and not there(files.key_file(name)):
            near = wording.hint(name, self.sections["key"])
            self._at(entry, f"there is no [key {name}].{near}")
        return None

    def _check_scripts(self, template: Template, entries: Mapping[str, Entry]) -> None:
        for path in template.userdata_scripts:
            if not there(path):
                self._at(entries["userdata_scripts"], f"'{path}' does not exist.")

    def _known(
        self, entries: Mapping[str, Entry], kind: str, model: type[Settings]
    ) -> dict[str, Entry]:
        """Return the entries that the model has a field for; the others are problems."""
        names = [field.alias or name for name, field in model.model_fields.items()]
        ours = [name for name in names if name not in ("name", *_UNWRITTEN.get(kind, ()))]
        extra = _ELSEWHERE.get(kind)
        known: dict[str, Entry] = {}
        for written, entry in entries.items():
            key = _FORMER.get((kind, written), written)
            if key in ours and key not in known:
                known[key] = entry
            elif key != extra and key not in IGNORED.get(kind, ()):
                near = wording.hint(written, [name.upper() for name in [*ours, extra] if name])
                self._at(entry, f"there is no such key.{near}")
        return known

    def _model(self, model: type[_Model], section: Section, **given: Any) -> _Model | None:
        """Return a section as a model; its entries replace what is given."""
        entries = self._known(section.entries, section.kind, model)
        values = {key: entry.value for key, entry in entries.items() if entry.value}
        return self._validated(model, {**given, **values}, section, entries)

    def _validated(
        self,
        model: type[_Model],
        given: Mapping[str, Any],
        section: Section,
        entries: Mapping[str, Entry],
    ) -> _Model | None:
        try:
            return model.model_validate(dict(given))
        except ValidationError as error:
            for name, why in wording.explain(error, ()):
                # What is missing is called by its field's name, what is wrong by its alias.
                field = model.model_fields.get(name)
                key = (field and field.alias) or name
                entry = entries.get(key)
                if entry:
                    self._at(entry, why)
                elif key in given:  # its name, or what a mention of it led to
                    self.problems.append(section.problem(why))
                else:
                    self.problems.append(section.problem(_MISSING.get(key, why), key=key))
        return None

    def _at(self, entry: Entry, text: str) -> None:
        self.problems.append(entry.section.problem(text, key=entry.key, line=entry.line))
