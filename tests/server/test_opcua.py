"""The last verdicts by OPC UA, read by a real client."""

import json
import socket

import pytest
from asyncua import ua
from asyncua.sync import Client
from running import running

from rdvar_jax.errors import ConfigError
from rdvar_jax.server.receivers.opcua import (
    DRAINING,
    NAMESPACE,
    RUNNING,
    OpcUaServer,
    check_address,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:asyncua")


@pytest.fixture(scope="module")
def shown(parts):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"opc.tcp://127.0.0.1:{free.getsockname()[1]}"
    server = OpcUaServer(check_address(address), list(parts))
    server.start()
    yield address, server
    server.close()


def read(client, *path):
    index = client.get_namespace_index(NAMESPACE)
    names = [f"{index}:{name}" for name in ("rdvar", *path)]
    return client.nodes.objects.get_child(names).read_value()


def test_clients_change_nothing(shown):
    with Client(shown[0]) as client:
        index = client.get_namespace_index(NAMESPACE)
        node = client.nodes.objects.get_child(
            [f"{index}:{name}" for name in ("rdvar", "part", "Threshold")]
        )
        with pytest.raises(ua.UaStatusCodeError):
            node.write_value(9.0)


def test_the_last_verdict_and_counts_are_there(shown, parts, files):
    address, server = shown
    with running(parts, listeners=[server]) as served:
        answers = [served.predict(file).json for file in files]
    last = answers[-1]
    with Client(address) as client:
        found = {name: read(client, "part", name) for name in ("Id", "Image", "Verdict", "Json")}
        assert found["Id"] == last["id"] and found["Verdict"] == last["verdict"]
        assert json.loads(found["Json"]) == last
        assert read(client, "part", "Score") == pytest.approx(last["score"])
        assert read(client, "part", "Threshold") == pytest.approx(last["threshold"])
        counts = [read(client, "part", name) for name in ("NumGood", "NumDefective", "NumUnknown")]
        verdicts = [one["verdict"] for one in answers]
        assert counts == [verdicts.count("good"), verdicts.count("defective"), 0]
        assert read(client, "State") == RUNNING
        server.drain()
        assert read(client, "State") == DRAINING


def test_a_taken_port_is_said(shown):
    with pytest.raises(ConfigError, match="cannot be opened .* give another port"):
        OpcUaServer(shown[0], ["part"]).start()


@pytest.mark.parametrize(
    "text", ["127.0.0.1:4840", "opc.tcp://host", "http://host:1", "opc.tcp://:x"]
)
def test_other_addresses_are_no_opcua(text):
    with pytest.raises(ConfigError, match="give opc.tcp"):
        check_address(text)
