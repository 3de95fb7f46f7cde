import socket

from mlops_runtime.serving.front.listener import STALL_TIMEOUT_MS, close_stalled_connections


def test_accepted_connections_have_the_timeout() -> None:
    # Given a socket that listens, and one that does not
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket():
        # When the option is set, and a client connects
        close_stalled_connections()
        with socket.create_connection(server.getsockname()) as client:
            connection, _ = server.accept()

            # Then it holds for the connection, and not for the client's own
            with connection:
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == STALL_TIMEOUT_MS
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
