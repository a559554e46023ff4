"""The visitors of the benchmarks: what they leave is what a browser would leave."""

import contextlib
import json
import socket
import threading

import pytest

pytest.importorskip("httpx", reason="the visitors use httpx")

from benchmarks.visiting import Visitor

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def heart():
    """A page of which only a tab's heartbeat is open; yields its address and the connection, once there is one."""
    connected, connections = threading.Event(), []

    def serve() -> None:
        with contextlib.suppress(OSError):  # the server is closed
            while True:
                connection, _ = server.accept()
                request = connection.recv(65536).decode()
                if "/heartbeat/" in request:
                    connection.sendall(f"{HEAD}5\r\nALIVE\r\n".encode())
                    connections.append(connection)
                    connected.set()
                else:
                    body = json.dumps({"dependencies": []})
                    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
                    connection.sendall((head + body).encode())
                    connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", connected, connections
    for connection in connections:
        connection.close()


def test_a_tab_that_is_closed_is_closed_for_the_server_as_well(heart):
    address, connected, connections = heart
    with Visitor(address) as visitor, visitor.open_tab():
        assert connected.wait(10)
    (connection,) = connections
    connection.settimeout(10)
    assert connection.recv(1) == b""  # the end, not a time-out
    assert not [thread for thread in threading.enumerate() if "_drain" in thread.name]
