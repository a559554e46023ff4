"""A server on loopback that speaks S3."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import fsspec
import pytest
from moto.server import ThreadedMotoServer


@contextmanager
def s3_server() -> Iterator[fsspec.AbstractFileSystem]:
    """Yields what `s3://` means within the block: an empty storage.

    fsspec keeps its file systems, each with the server that it was made for, and all servers of a process share their
    buckets, so neither are left from before or for after.
    """
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        kept = fsspec.get_filesystem_class("s3")
        kept.clear_instance_cache()
        yield fsspec.filesystem("s3")
        kept.clear_instance_cache()
    server.stop()
