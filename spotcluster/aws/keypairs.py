"""Key pairs: EC2 keeps the public half."""

from __future__ import annotations

from dataclasses import dataclass

from spotcluster.aws import tags
from spotcluster.aws.calls import call
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError


@dataclass(frozen=True)
class KeyPair:
    """A key pair as EC2 lists it.

    Attributes
    ----------
    kind : str
        ``rsa`` or ``ed25519``.
    public : str
        The public key's line; empty when EC2 was not asked for it.
    """

    name: str
    fingerprint: str
    kind: str
    public: str = ""


def list_all(session: Session) -> list[KeyPair]:
    """Return the region's key pairs by name."""
    answer = call(session.ec2.describe_key_pairs)
    found = [
        KeyPair(item["KeyName"], item.get("KeyFingerprint", ""), item.get("KeyType", "rsa"))
        for item in answer["KeyPairs"]
    ]
    return sorted(found, key=lambda pair: pair.name)


def find(session: Session, name: str) -> KeyPair | None:
    """Return the key pair `name` with its public key, None where there is none."""
    try:
        answer = call(session.ec2.describe_key_pairs, KeyNames=[name], IncludePublicKey=True)
    except CloudError as error:
        if error.code != "InvalidKeyPair.NotFound":
            raise
        return None
    item = answer["KeyPairs"][0]
    return KeyPair(
        name,
        item.get("KeyFingerprint", ""),
        item.get("KeyType", "rsa"),
        item.get("PublicKey", "").strip(),
    )


def upload(session: Session, name: str, public_key: str) -> None:
    """Give EC2 the public half of a key that was made here, so that the other never travels."""
    call(
        session.ec2.import_key_pair,
        KeyName=name,
        PublicKeyMaterial=public_key.encode(),
        TagSpecifications=tags.specifications({tags.KEY: name}, "key-pair"),
    )


def delete(session: Session, name: str) -> None:
    """Delete a key pair; one that is not there is no error to EC2."""
    call(session.ec2.delete_key_pair, KeyName=name)
