"""What `start` is asked for: a template of the config, or a cluster that is there already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spotcluster.aws import regions
from spotcluster.aws.session import Session
from spotcluster.cluster import lookup, records
from spotcluster.cluster.bringup import plans
from spotcluster.cluster.records import Record, Snapshot
from spotcluster.config import Config, Template
from spotcluster.config.template import Overrides
from spotcluster.errors import CloudError, UsageError
from spotcluster.plugins import loader, pypackages

_MAY_CHANGE = ("autostop", "budget")  # of a cluster that is stopped or lacks nodes


@dataclass(frozen=True)
class Wanted:
    """Where to start what.

    Attributes
    ----------
    seen : Snapshot
        The cluster that exists under this name, if one does; its template is then the one that it
        was started from.
    """

    session: Session
    template: Template
    seen: Snapshot


def choose(
    config: Config,
    name: str,
    region: str | None,
    *,
    template: str | None,
    size: int | None,
    bid: float | None,
    overrides: Overrides,
    note: Callable[[str], None],
) -> Wanted:
    """Return what `start` is to do by its flags, of which `template` and others may be None.

    A cluster that exists keeps what it was started with. It needs no template of this computer's
    config; one that is named all the same, and flags, must say what it has already.

    Parameters
    ----------
    note : callable
        Tells the user what is waited for.

    Raises
    ------
    UsageError
        There is no such template, the flags would change a cluster that exists, or a plugin of a
        new one asks for what cannot be had.
    """
    if template is None and (found := _existing(config, name, region)):
        session, record = found
        own = config.with_key(record.template)
    else:
        own = config.with_key(config.template(template))
        if template is not None:  # what is wrong with it is said before EC2 is asked anything
            plans.check_key(config.with_key(own.with_overrides(size=size, bid=bid, **overrides)))
        place = region or own.region or lookup.default_region(config)
        session = lookup.open_session(config, place)
        record = None
        if template is not None:
            record = records.find(session, name)
    if record is None:
        chosen = config.with_key(own.with_overrides(size=size, bid=bid, **overrides))
        plans.check_key(chosen)
        return Wanted(session, _resolved(chosen, note), Snapshot(None))
    record.template.with_overrides(size=size, bid=bid)  # values that cannot be
    _refuse_changes(record, template and own.name, overrides)
    chosen = record.template.model_copy(update={"key_location": own.key_location})
    chosen = chosen.with_overrides(
        autostop=overrides.get("autostop"), budget=overrides.get("budget")
    )
    if own.keyname != record.template.keyname:
        chosen = config.with_key(chosen)
    plans.check_key(chosen)
    return Wanted(session, chosen, records.look_at(session, record))


def _resolved(template: Template, note: Callable[[str], None]) -> Template:
    """Return a template with its plugins as a cluster is begun with them."""
    resolved = [
        one.model_copy(
            update={"settings": loader.resolve(one.name, one.setup_class, one.settings, note)}
        )
        for one in template.plugins
    ]
    pypackages.check_together(resolved)
    return template.model_copy(update={"plugins": tuple(resolved)})


def _existing(config: Config, name: str, region: str | None) -> tuple[Session, Record] | None:
    """Return the cluster of that name, in any region that the config speaks of."""
    sessions = lookup.sessions(config, region, name)
    try:
        return regions.first(sessions, lambda session: records.find(session, name))
    except CloudError:
        # Not every region of a config has credentials; where it is to start, it will be said.
        return None


def _refuse_changes(record: Record, template: str | None, overrides: Overrides) -> None:
    """Refuse to take a cluster for another one than it is."""
    name, own = record.name, record.template
    hint = (
        f"Leave it out to go on with '{name}', choose another name, or `spotcluster terminate"
        f" {name}` first."
    )
    if template and template != own.name:
        raise UsageError(
            f"-c {template}: '{name}' exists, and was started from [cluster {own.name}].", hint
        )
    changed = own.with_overrides(**overrides)
    for key in overrides:
        if key in _MAY_CHANGE:
            continue
        if getattr(changed, key) != getattr(own, key):
            raise UsageError(
                f"--{key.replace('_', '-')}: '{name}' exists, and keeps what it was started with.",
                hint,
            )
