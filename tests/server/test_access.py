"""Tokens, the name that the server is called by, and pages of other sites."""

import pytest
from running import running

from rdvar_jax.errors import ConfigError
from rdvar_jax.server.http.access import is_loopback, read_tokens

TOKEN, OTHER = "0123456789abcdef-first", "0123456789abcdef-second"


@pytest.fixture(scope="module")
def guarded(parts):
    with running(parts, tokens=(TOKEN, OTHER)) as found:
        yield found


def test_a_token_opens_everything(guarded, files):
    for token in (TOKEN, OTHER):
        bearer = f"Bearer {token}"
        assert guarded.predict(files[0], Authorization=bearer).status == 200
        assert guarded.get("/metrics", Authorization=bearer).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer \xff"},
        {"Cookie": f"rdvar={TOKEN}"},
        {"Cookie": "rdvar="},
    ],
)
def test_nothing_else_does(guarded, files, headers):
    for reply in (guarded.predict(files[0], **headers), guarded.get("/recent", **headers)):
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        assert reply.sentence.startswith("A token is needed: send Authorization: Bearer TOKEN")


def test_health_is_open(guarded):
    assert guarded.get("/v2/health/live").status == 200
    assert guarded.get("/v2/health/ready").status == 200
    assert guarded.get("/v2").status == 401


def test_a_browser_gets_a_cookie_for_its_token(guarded):
    reply = guarded.get(f"/?token={TOKEN}")
    assert reply.status == 200
    cookie, *attributes = reply.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(attributes)
    assert TOKEN not in cookie and TOKEN not in reply.body.decode()
    assert guarded.get("/recent", Cookie=cookie).status == 200
    assert guarded.get("/?token=" + "x" * 22).status == 401
    assert guarded.get(f"/recent?token={TOKEN}").status == 401  # only where the page is


def test_refusals_are_counted(guarded):
    guarded.get("/recent")
    text = guarded.get("/metrics", Authorization=f"Bearer {TOKEN}").body.decode()
    assert 'rdvar_refused_total{status="401"}' in text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil", "", "[::1"])
def test_another_name_is_refused_on_loopback(served, host):
    assert served.get("/recent", Host=host).status == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "127.0.0.1:80", "[::1]:80"])
def test_own_names(served, host):
    assert served.get("/recent", Host=host).status == 200


def test_pages_of_other_sites_can_send_nothing(served, files):
    own = f"http://127.0.0.1:{served.port}"
    assert served.predict(files[0], Origin=own).status == 200
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{served.port + 1}"):
        reply = served.predict(files[0], Origin=origin)
        assert (reply.status, reply.sentence) == (
            403,
            "Pages of other sites cannot use this server.",
        )
        assert "access-control-allow-origin" not in reply.headers


def test_every_answer_has_the_headers_of_a_safe_page(served):
    for path in ("/recent", "/nothing"):
        headers = served.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


def test_token_files(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"{TOKEN}\n\n  {OTHER}\n")
    assert read_tokens(file) == (TOKEN, OTHER)
    for text in ("", "\n", "short", f"{TOKEN}\nshort", "ä" * 20):
        file.write_text(text)
        with pytest.raises(ConfigError, match="must hold one or more tokens"):
            read_tokens(file)
    file.write_bytes(b"\xff" * 20)
    with pytest.raises(ConfigError, match="must hold one or more tokens"):
        read_tokens(file)


def test_loopback():
    assert all(map(is_loopback, ["127.0.0.1", "127.8.0.1", "::1", "localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.com", ""]))
