#!/usr/bin/env bash
# paramiko: an RSA key in PKCS#8, which OpenSSH uses as it is, is none.
#
# `openssl genpkey` and many tools write "-----BEGIN PRIVATE KEY-----". OpenSSH's programs read that for
# RSA as they read their own forms. paramiko calls it "not a valid RSA private key file", though the key
# that cryptography reads from the same bytes, which paramiko takes too, works.
# spotcluster makes paramiko's key of what cryptography has read: ssh/keys.py, with
# tests/unit/ssh/test_keys.py.
# Source: paramiko/pkey.py and paramiko/rsakey.py, which take what ssh-keygen writes (5.1.0).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet paramiko==5.1.0
cat >"$folder/finding.py" <<'PYTHON'
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import paramiko
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

print("paramiko", version("paramiko"), "cryptography", version("cryptography"))
print("Expected: what ssh-keygen reads, paramiko reads.")
made = rsa.generate_private_key(65537, 2048)
seen = {}
for name in ("TraditionalOpenSSL", "OpenSSH", "PKCS8"):
    path = Path(sys.argv[1]) / name
    path.touch(0o600)
    path.write_bytes(
        made.private_bytes(Encoding.PEM, getattr(PrivateFormat, name), NoEncryption())
    )
    told = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True)
    try:
        kind = paramiko.PKey.from_path(path).get_name()
    except paramiko.SSHException as error:
        kind = str(error)
    seen[name] = told.returncode == 0, kind == "ssh-rsa"
    print(f"{name}: ssh-keygen reads it: {seen[name][0]}; paramiko: {kind}")
print("of cryptography's key:", paramiko.RSAKey(key=made).get_name())
sys.exit(list(seen.values()) != [(True, True), (True, True), (True, False)])
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
