"""The port of the server."""

import asyncio
import socket

from rdvar_jax.server.http.http_server import take_port


def test_answers_are_sent_without_delay():
    """A second packet would wait for the client's acknowledgement, 40 ms on Linux."""

    async def no_delay() -> int:
        accepted = asyncio.get_running_loop().create_future()
        with take_port("127.0.0.1", 0) as taken:
            server = await asyncio.start_server(
                lambda _, writer: accepted.set_result(writer), sock=taken
            )
            _, client = await asyncio.open_connection(*taken.getsockname())
            writer = await accepted
            found = writer.get_extra_info("socket")
            value = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()
            client.close()
            server.close()
        return value

    assert asyncio.run(no_delay())
