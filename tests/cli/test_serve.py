import asyncio
import re
import signal
import socket

import httpx
import pytest

from support.ports import free_port
from support.service import eventually
from support.terminal import Command, Terminal


async def served(command: Command) -> str:
    """Wait until the service says where it is; return its address."""
    address = (await command.says(r"API +(http://127\.0\.0\.1:\d+)/v1"))[1]
    await command.says(r"Admin key +\S+")
    return str(address)


async def get(url: str, path: str, key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        return await client.get(path)


async def test_the_first_start_shows_the_admin_key_and_later_ones_say_where_it_is(
    terminal: Terminal,
) -> None:
    first = await terminal.start_anew("serve")
    url = await served(first)
    key = (await first.says(r"Admin key +(hk_\S+)"))[1]

    assert (await get(url, "/readyz")).status_code == 200
    assert (await get(url, "/docs")).status_code == 200
    assert (await get(url, "/v1/integrations", key)).status_code == 200
    assert await first.stop(signal.SIGTERM) == 0

    second = await terminal.start("serve")
    url = await served(second)

    assert (await get(url, "/v1/integrations", key)).status_code == 200
    assert await second.stop(signal.SIGINT) == 0
    assert key not in second.said + await second.errors()
    assert f"in {terminal.data / 'admin.key'}" in second.said
    assert (terminal.data / "admin.key").read_text() == f"{key}\n"


async def test_keys_are_made_and_revoked_beside_a_running_service(made_terminal: Terminal) -> None:
    service = await made_terminal.start("serve")
    url = await served(service)

    _, key, _ = await made_terminal.run("keys", "create", "--role", "manager", "--company", "c1")
    answer = await get(url, "/v1/integrations", key.strip())
    assert answer.status_code == 200

    _, listed, _ = await made_terminal.run("keys", "list")
    row = next(line for line in listed.splitlines() if "company c1" in line)
    code, _, _ = await made_terminal.run("keys", "revoke", row.split("\t")[0])
    answer = await get(url, "/v1/integrations", key.strip())
    assert (code, answer.status_code) == (0, 401)


async def test_the_roles_split_over_processes_that_share_a_database(
    made_terminal: Terminal,
) -> None:
    service = await made_terminal.start("serve", "--no-engine")
    url = await served(service)

    checks = (await get(url, "/readyz")).json()

    assert "engine" not in str(checks)


async def test_a_worker_runs_until_it_is_told_to_stop(made_terminal: Terminal) -> None:
    worker = await made_terminal.start_anew("worker")

    await worker.says("delivery engine is running")

    assert await worker.stop(signal.SIGTERM) == 0


async def test_a_worker_with_a_port_answers_probes_and_scrapes_there_and_nothing_else(
    made_terminal: Terminal,
) -> None:
    worker = await made_terminal.start("worker", WORKER_PORT="0")
    url = (await worker.says(r"running\. (http://127\.0\.0\.1:\d+)/metrics"))[1]

    ready, alive, metrics = [await get(url, f"/{name}") for name in ("readyz", "livez", "metrics")]
    assert [each.status_code for each in (ready, alive, metrics)] == [200, 200, 200]
    assert {"name": "engine", "ok": True, "detail": "delivering"} in ready.json()["checks"]
    assert "hookline_attempts_in_flight" in metrics.text
    elsewhere = [await get(url, path) for path in ("/v1/integrations", "/docs", "/console/")]
    assert [each.status_code for each in elsewhere] == [404, 404, 404]
    assert elsewhere[0].headers["content-type"] == "application/problem+json"

    port = url.rpartition(":")[2]
    code, _, complaint = await made_terminal.run("worker", WORKER_PORT=port)
    assert (code, "WORKER_PORT" in complaint) == (1, True)
    assert await worker.stop(signal.SIGTERM) == 0


async def test_a_request_that_never_ends_is_left_by_the_second_signal(
    made_terminal: Terminal,
) -> None:
    service = await made_terminal.start("serve", SHUTDOWN_GRACE="3600")
    host, port = (await served(service)).removeprefix("http://").split(":")
    _, slow = await asyncio.open_connection(host, int(port))
    slow.write(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    await slow.drain()
    await get(f"http://{host}:{port}", "/livez")  # the slow one is known to the server by now

    service.process.send_signal(signal.SIGINT)
    await refused(host, int(port))

    assert await service.stop(signal.SIGINT) == 130
    slow.close()
    again = await made_terminal.start("serve")
    await served(again)


async def refused(host: str, port: int) -> None:
    """Wait until nothing listens there any more."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.05)


async def test_it_serves_where_nobody_gave_it_standard_streams(made_terminal: Terminal) -> None:
    port = free_port()
    command = await made_terminal.start_detached("serve", PORT=str(port))

    async def status() -> int:
        assert command.process.returncode is None, command.process.returncode
        try:
            return (await get(f"http://127.0.0.1:{port}", "/readyz")).status_code
        except httpx.TransportError:
            return 0

    await eventually(status, lambda answered: answered == 200)
    command.process.terminate()
    assert await command.process.wait() == 0


async def test_a_port_in_use_is_a_sentence_and_nothing_is_started(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        code, out, err = await terminal.run("serve", PORT=str(port))

    assert (code, out) == (1, "")
    assert re.fullmatch(
        rf"hookline: 127\.0\.0\.1:{port} cannot be listened on .* HOOKLINE_PORT to another\.\n", err
    )
    assert not terminal.data.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_during_the_first_start_ends_it_well(
    terminal: Terminal, number: signal.Signals
) -> None:
    service = await terminal.start("serve", LOG_LEVEL="INFO")
    assert service.process.stderr is not None
    await service.process.stderr.readline()  # it has begun to make its database

    assert await service.stop(number) == 0
    assert "API" not in service.said
