"""Ray clusters on this machine that are there before a run, and are left behind or lose a node."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from benchmarks.serving import free_port


@contextmanager
def head_node() -> Iterator[tuple[list[str], dict[str, str]]]:
    """A node as `ray start --head` makes it.

    Yields its addresses, one for machines of the cluster and one for Ray's client, and the environment with the token
    that it asks for.
    """
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    inside, client = free_port(), free_port()
    ports = [f"--port={inside}", f"--ray-client-server-port={client}", "--include-dashboard=false"]
    head = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2", *ports]
    process = subprocess.Popen(head, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not all(map(_answers, (inside, client))):
            if process.poll() is not None:
                raise SystemExit("error: `ray start --head` failed")
            time.sleep(0.5)
        yield [f"127.0.0.1:{inside}", f"ray://127.0.0.1:{client}"], environment
    finally:
        process.terminate()  # ends what it started as well
        process.wait()


@contextmanager
def three_nodes() -> Iterator[tuple[str, Callable[[], object]]]:
    """A cluster of three nodes of one core; yields its address, and what kills the last of them."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    try:
        yield cluster.address, lambda: cluster.remove_node(nodes[1], allow_graceful=False)
    finally:
        ray.shutdown()
        cluster.shutdown()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
