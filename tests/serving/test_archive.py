"""Bundles that are damaged, changed, or other files."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from rdvar_jax.errors import BundleError
from rdvar_jax.serving.archive import (
    FORMAT_VERSION,
    MANIFEST,
    MANIFEST_HASH,
    MEMBERS,
    PROGRAM,
    WEIGHTS,
    read_bundle,
    write_bundle,
    writing_model,
)

CONTENT = {PROGRAM: b"a program" * 50, WEIGHTS: b"a weight" * 400}


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "part.rdvar"
    write_bundle(path, {"image": {"size": 32}}, CONTENT)
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, content: dict[str, bytes], compression=zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, member in content.items():
            archive.writestr(name, member)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def with_manifest(content: dict[str, bytes], manifest: object) -> dict[str, bytes]:
    """The members with another manifest, and its right hash."""
    text = json.dumps(manifest).encode()
    return {**content, MANIFEST: text, MANIFEST_HASH: sha256(text).encode()}


def refused(path: Path, *parts: str, **options) -> None:
    with pytest.raises(BundleError) as caught:
        read_bundle(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(path), *parts):
        assert part in message, message


def test_what_was_written_is_read(path):
    manifest, content = read_bundle(path, sha256(path.read_bytes()).upper())
    assert content == CONTENT
    assert manifest["image"] == {"size": 32}
    assert manifest["files"] == {
        name: {"bytes": len(member), "sha256": sha256(member)} for name, member in CONTENT.items()
    }


def test_the_same_content_gives_the_same_file(path, tmp_path):
    write_bundle(tmp_path / "again.rdvar", {"image": {"size": 32}}, CONTENT)
    assert (tmp_path / "again.rdvar").read_bytes() == path.read_bytes()


def test_every_changed_byte_is_noticed(path):
    """Even a change in the zip's own records never yields anything but the original content."""
    whole = path.read_bytes()
    unnoticed = []
    for position in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[position] ^= 0x10
        path.write_bytes(changed)
        try:
            manifest, content = read_bundle(path)
        except BundleError:
            continue
        unnoticed.append(position)
        assert (content, manifest["image"]) == (CONTENT, {"size": 32})
    # Dates and versions in the zip's directory mean nothing here.
    assert len(unnoticed) < len(whole) / 7 / 10


@pytest.mark.parametrize("share", [0, 0.3, 0.999])
def test_a_truncated_file_is_refused(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(path, "copy it again")


@pytest.mark.parametrize("name", [*MEMBERS, MANIFEST])
def test_a_member_that_was_put_in_anew_is_refused(path, name):
    content = members(path)
    pack(path, {**content, name: content[name].replace(b"a", b"b")})
    refused(path, name)


def test_a_changed_threshold_is_noticed(path, tmp_path):
    content = members(path)
    manifest = json.loads(content[MANIFEST])
    pack(path, {**content, MANIFEST: json.dumps({**manifest, "threshold": 9}).encode()})
    refused(path, f"{MANIFEST} was changed")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: {**content, "../../escaped.py": b"x"},
        lambda content: {**content, "/etc/escaped": b"x"},
        lambda content: {n: m for n, m in content.items() if n != WEIGHTS},
    ],
)
def test_other_names_than_those_of_a_bundle_are_refused(path, tmp_path, change):
    before = sorted(tmp_path.parent.iterdir()), sorted(tmp_path.iterdir())
    pack(path, change(members(path)))
    refused(path, "files are not those of a bundle")
    assert (sorted(tmp_path.parent.iterdir()), sorted(tmp_path.iterdir())) == before


def test_a_second_member_of_the_same_name_is_refused(path):
    with (
        zipfile.ZipFile(path, "a") as archive,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        archive.writestr(PROGRAM, b"another program")
    refused(path, "files are not those of a bundle")


def test_compressed_members_are_refused(path):
    pack(path, members(path), zipfile.ZIP_DEFLATED)
    refused(path, "compression")


def test_a_newer_format_says_to_update(path):
    content = members(path)
    manifest = {**json.loads(content[MANIFEST]), "format_version": FORMAT_VERSION + 1}
    pack(path, with_manifest({**content, "new.bin": b"x"}, manifest))
    refused(path, f"format {FORMAT_VERSION + 1}", "update rdvar-jax")


@pytest.mark.parametrize("version", [None, 0, "1"])
def test_a_format_that_never_was_is_refused(path, version):
    content = members(path)
    manifest = {**json.loads(content[MANIFEST]), "format_version": version}
    pack(path, with_manifest(content, manifest))
    refused(path, "not an intact bundle")


@pytest.mark.parametrize("manifest", [[], {}, {"format": "other"}, None])
def test_a_zip_of_something_else_is_refused(path, manifest):
    pack(path, with_manifest(members(path), manifest))
    refused(path, "not a bundle", "rdvar export")


@pytest.mark.parametrize("files", [{}, [], None, {PROGRAM: {}, WEIGHTS: {}}])
def test_a_manifest_without_hashes_is_refused(path, files):
    content = members(path)
    pack(path, with_manifest(content, {**json.loads(content[MANIFEST]), "files": files}))
    refused(path)


def test_what_is_no_bundle_at_all_is_refused(path, tmp_path):
    pack(path, {"a.txt": b"x"})
    refused(path, MANIFEST, "rdvar export")
    path.write_bytes(b"\x80\x04" + bytes(100))  # a pickle, for one
    refused(path, "not an intact bundle")
    refused(tmp_path, "is a folder")
    refused(tmp_path / "none.rdvar", "does not exist")


def test_the_file_that_was_meant_is_known_by_its_hash(path):
    meant = sha256(path.read_bytes())
    write_bundle(path, {"image": {"size": 64}}, CONTENT)
    read_bundle(path)
    refused(path, meant, sha256=meant)


def test_writing_replaces_the_whole_file_or_nothing(path, tmp_path):
    before = path.read_bytes()

    with pytest.raises(BundleError, match=r"part\.rdvar cannot be written \(No space left"):
        with writing_model(path) as temporary:
            temporary.write_bytes(b"half")
            raise OSError(28, "No space left on device")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(BundleError, match="cannot be written"):
        write_bundle(tmp_path / "none" / "x.rdvar", {}, CONTENT)
