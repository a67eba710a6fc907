"""Forms in memory: their files, byte for byte, and damaged ones."""

import pytest
from running import BOUNDARY, form

from rdvar_jax.server.http.forms import FormError, read_form


def test_files_come_back_byte_for_byte():
    files = [
        ("a.png", bytes(range(256)) * 300),
        ('ü " ; x.png', f"\r\n--{BOUNDARY[:-1]}\r\n--".encode()),
        ("", b""),
    ]
    body, kind = form(*[(name.replace('"', '\\"'), content) for name, content in files])
    assert read_form(kind, body, 3) == files


def test_fields_are_left_out():
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="x"\r\n\r\nvalue\r\n'
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; filename="f"\r\n\r\nabc\r\n'
        f"--{BOUNDARY}--\r\n"
    ).encode()
    assert read_form(f'multipart/form-data; boundary="{BOUNDARY}"', body, 2) == [("f", b"abc")]
    with pytest.raises(FormError, match="more than 1 parts"):
        read_form(f"multipart/form-data; boundary={BOUNDARY}", body, 1)


def test_every_cut_is_noticed():
    body, kind = form(("a.png", b"content"))
    whole = body.index(f"--{BOUNDARY}--".encode()) + len(f"--{BOUNDARY}--")
    for length in range(whole):
        with pytest.raises(FormError):
            read_form(kind, body[:length], 2)


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=", ""])
def test_no_boundary(kind):
    with pytest.raises(FormError, match="has no boundary"):
        read_form(kind, form(("a", b""))[0], 2)
