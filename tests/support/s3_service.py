"""A real S3 service for tests, moto's, in a process of its own on loopback; it checks signatures and rights.

    with s3_service() as service:
        store = open_store(f"s3://{BUCKET}?endpoint={service.url}")  # under service.environment(service.writer)

Needs requirements/s3.txt, so tests that use it carry the marker `node`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUCKET = "fl-objects"
READY_SECONDS = 60.0
STOP_SECONDS = 15.0
# Requests that are let through unsigned: three a wallet, and the bucket.
_SETUP_REQUESTS = 7
_RUNNING = re.compile(rb"Running on (http://127\.0\.0\.1:\d+)")


class S3ServiceFailed(RuntimeError):
    """The service is not installed, ended, or did not answer in time; the message says which."""


@dataclass(frozen=True)
class Keys:
    """One account's credentials."""

    access: str
    secret: str


@dataclass(frozen=True)
class S3Service:
    """A running service with one bucket."""

    url: str
    pid: int
    writer: Keys  # may do everything
    reader: Keys  # may read objects, and not list them

    @property
    def words(self) -> str:
        """The bucket as --store names it."""
        return f"s3://{BUCKET}/task/7?endpoint={self.url}"

    def client(self) -> Any:
        """Return botocore's own client for the bucket, with the writer's rights."""
        import botocore.session

        return botocore.session.get_session().create_client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id=self.writer.access,
            aws_secret_access_key=self.writer.secret,
        )  # fmt: skip


def environment(keys: Keys | None, home: Path) -> Mapping[str, str]:
    """Return the variables under which botocore finds these credentials and no others."""
    nowhere = {
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": str(home / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "credentials"),
    }  # fmt: skip
    if keys is None:
        return nowhere
    return {**nowhere, "AWS_ACCESS_KEY_ID": keys.access, "AWS_SECRET_ACCESS_KEY": keys.secret}


@contextmanager
def s3_service() -> Iterator[S3Service]:
    """Start the service on a free port and yield it; what it holds goes with it."""
    with tempfile.TemporaryDirectory(prefix="fl-s3-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(_SETUP_REQUESTS)},
            )  # fmt: skip
        try:
            url = _await_ready(process, log)
            yield _furnished(url, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        found = _RUNNING.search(log.read_bytes())
        if found is not None:
            return found[1].decode()
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    raise S3ServiceFailed(
        "moto did not start (pip install -r requirements/s3.txt): " + log.read_text(errors="replace")[-2000:]
    )


def _furnished(url: str, pid: int) -> S3Service:
    import botocore.session

    session = botocore.session.get_session()
    anybody = {
        "endpoint_url": url, "region_name": "us-east-1", "aws_access_key_id": "none", "aws_secret_access_key": "none",
    }  # fmt: skip
    iam = session.create_client("iam", **anybody)

    def account(name: str, action: str) -> Keys:
        iam.create_user(UserName=name)
        rights = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
        iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(rights))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Keys(key["AccessKeyId"], key["SecretAccessKey"])

    writer, reader = account("writer", "s3:*"), account("reader", "s3:GetObject")
    session.create_client("s3", **anybody).create_bucket(Bucket=BUCKET)
    return S3Service(url, pid, writer, reader)
