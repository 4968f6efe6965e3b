"""The sections of the config file as typed, frozen settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from spotcluster import files
from spotcluster.config import shapes


class Settings(BaseModel):
    """Base of all sections: frozen, nothing unknown; an error never shows what it was given."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True
    )


class GlobalSettings(Settings):
    """``[global]``.

    Attributes
    ----------
    default_template : str or None
        The template that ``start`` uses without ``-c``.
    refresh_interval : float or None
        Taken for StarCluster's sake; nothing here polls at a fixed interval.
    notify : SecretStr or None
        What is told when a cluster is ready or has stopped, and when a search is done: a command,
        or a web hook, whose URL nobody else should know.
    """

    default_template: str | None = None
    refresh_interval: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    notify: SecretStr | None = None

    @property
    def hook(self) -> str | None:
        """What `spotcluster.notify.tell` is to tell."""
        return self.notify.get_secret_value() if self.notify else None


class AwsSettings(Settings):
    """``[aws info]``; without keys, boto3's own chain finds the credentials.

    Attributes
    ----------
    region : str or None
        The region of commands that name none and of templates without ``REGION``.
    profile : str or None
        A profile of the AWS config files: with keys, SSO or a role to assume.
    access_key_id, secret_access_key, session_token : SecretStr or None
        Credentials. They are better left to boto3's own chain; they are never printed or logged.
    throttle_timeout, answer_timeout, settle_timeout : int
        Seconds for which a call is repeated that AWS throttles, that gets no answer, and that
        speaks of what AWS made a moment ago and does not know everywhere yet.
    """

    region: shapes.Region | None = Field(default=None, alias="aws_region_name")
    profile: str | None = Field(default=None, alias="aws_profile")
    access_key_id: SecretStr | None = Field(default=None, alias="aws_access_key_id")
    secret_access_key: SecretStr | None = Field(
        default=None, alias="aws_secret_access_key", validate_default=True
    )
    session_token: SecretStr | None = Field(default=None, alias="aws_session_token")
    throttle_timeout: shapes.Seconds = 180
    answer_timeout: shapes.Seconds = 60
    settle_timeout: shapes.Seconds = 60

    @field_validator("secret_access_key")
    @classmethod
    def _goes_with_its_id(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (secret is None) != (info.data.get("access_key_id") is None):
            raise ValueError("'AWS_ACCESS_KEY_ID' and this are of use only together")
        return secret


class KeySettings(Settings):
    """``[key NAME]``: where the private key of the EC2 key pair NAME is.

    Attributes
    ----------
    key_location : Path
        The file; without it ``~/.spotcluster/keys/NAME.pem``, where `createkey` writes it.
    """

    name: shapes.KeyName = ""
    key_location: shapes.LocalPath


def key_location(name: str) -> Path:
    """Return where the private key `name` is when nothing says so.

    That is where `createkey` writes it, or, where there is no such file, where StarCluster's users
    were told to write theirs: ``~/.ssh/NAME.rsa``.
    """
    ours = files.key_file(name)
    theirs = Path(os.path.expanduser("~/.ssh")) / f"{name}.rsa"  # noqa: PTH111 - never raises
    return theirs if there(theirs) and not there(ours) else ours


def there(path: Path) -> bool:
    """Tell whether there is such a file; also of a name that no file system would take."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises when the name is too long


class Volume(Settings):
    """``[volume NAME]``: an EBS volume of the master's, or an EFS file system of all nodes.

    Attributes
    ----------
    file_system_id : str
        The EFS file system, by its id; empty for an EBS volume.
    volume_id : str
        The EBS volume, by its id or its name; empty for an EFS file system.
    mount_path : str
        The folder that it is mounted on.
    device : str or None
        The name under which it is attached, where it is not to be chosen by itself.
    partition : int or None
        The partition to mount, where it is not to be found out.
    """

    name: shapes.SectionName
    file_system_id: shapes.FileSystemId = ""
    volume_id: shapes.VolumeId = Field(default="", validate_default=True)
    mount_path: shapes.MountPath
    device: shapes.Device | None = None
    partition: Annotated[int, Field(ge=0, le=128)] | None = None

    @field_validator("volume_id")
    @classmethod
    def _is_one_of_two(cls, volume_id: str, info: ValidationInfo) -> str:
        if volume_id and info.data.get("file_system_id"):
            raise ValueError("and FILE_SYSTEM_ID are two different things; name one")
        if not volume_id and info.data.get("file_system_id") == "":  # which is not wrong itself
            raise ValueError("is missing")
        return volume_id

    @field_validator("device", "partition")
    @classmethod
    def _is_of_a_disk(cls, value: str | int | None, info: ValidationInfo) -> str | int | None:
        if value is not None and info.data.get("file_system_id"):
            raise ValueError("is for EBS volumes, and this is an EFS file system; leave it out")
        return value


class Permission(Settings):
    """``[permission NAME]``: ports that addresses outside the cluster may reach.

    Attributes
    ----------
    ip_protocol : str
        The protocol.
    from_port, to_port : int
        The first port and the last; -1 and -1 for icmp.
    cidr_ip : str
        The addresses, as ``192.0.2.0/24``.
    """

    name: shapes.SectionName
    ip_protocol: Literal["tcp", "udp", "icmp"] = "tcp"
    from_port: shapes.Port
    to_port: shapes.Port
    cidr_ip: shapes.Cidr

    @field_validator("to_port")
    @classmethod
    def _ends_a_range(cls, last: int, info: ValidationInfo) -> int:
        first = info.data.get("from_port", last)
        if info.data.get("ip_protocol") == "icmp":
            if (first, last) != (-1, -1):
                raise ValueError("is not -1, but icmp has no ports: both must be -1")
        elif first < 0 or last < first:
            raise ValueError(f"does not end a range of ports that begins at {first}")
        return last


class PluginSection(Settings):
    """``[plugin NAME]``: a class and its settings, as text; the class knows their types.

    Attributes
    ----------
    withheld : tuple of str
        Secret settings that are not in `settings`, as this comes from EC2.
    """

    name: shapes.SectionName
    setup_class: str
    settings: dict[str, str] = Field(default_factory=dict)
    withheld: tuple[str, ...] = ()


# What StarCluster's users have in their files and what has no meaning here; it is passed over.
IGNORED: dict[str, frozenset[str]] = {
    "global": frozenset({"enable_experimental", "web_browser"}),
    "aws info": frozenset(
        {
            "aws_user_id",
            "ec2_cert",
            "ec2_private_key",
            "aws_region_host",
            "aws_port",
            "aws_ec2_path",
            "aws_s3_host",
            "aws_s3_path",
            "aws_is_secure",
            "aws_validate_certs",
            "aws_proxy",
            "aws_proxy_port",
            "aws_proxy_user",
            "aws_proxy_pass",
        }
    ),
    "cluster": frozenset({"disable_cloudinit"}),
}
