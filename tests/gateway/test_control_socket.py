"""The socket beside the file: for its owner only, wherever the file lies, and never in the way."""

from __future__ import annotations

import logging
import os
import socket
import stat
from pathlib import Path

import pytest

from tempolite import EngineClosed, Tempolite
from tempolite.actors.control_socket import socket_file
from tests.engine.conftest import EngineMaker
from tests.gateway.conftest import ClientMaker
from tests.gateway.workflows import KNOWN, double

WAIT_S = 20


def socket_of(path: Path) -> Path:
    return path.with_name(path.name + "-socket")


def test_only_the_owner_may_use_the_socket(owner: Tempolite, path: Path) -> None:
    """0600, whatever the umask says."""
    found = socket_of(path).stat()

    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600


def test_the_umask_does_not_open_the_socket(make_engine: EngineMaker, path: Path) -> None:
    """Nor does it close it."""
    before = os.umask(0o777)
    try:
        socket_file.listen(str(path)).close()
    finally:
        os.umask(before)

    assert stat.S_IMODE(socket_of(path).stat().st_mode) == 0o600


def test_another_user_s_process_is_refused(
    owner: Tempolite, make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that may open the file, such as root: the kernel says whose it is."""
    real = socket_file.os.geteuid()
    ids = iter([real, real + 1])  # the client is asked first, then the owner
    monkeypatch.setattr(socket_file.os, "geteuid", lambda: next(ids, real))

    with pytest.raises(EngineClosed, match="no engine can be reached"):
        make_client()


def test_a_socket_of_another_user_s_process_is_not_spoken_to(
    owner: Tempolite, make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that others may write to, one could have been put there."""
    monkeypatch.setattr(socket_file.os, "geteuid", lambda: -1)

    with pytest.raises(EngineClosed, match="belongs to another user's process"):
        make_client()


@pytest.mark.parametrize("name", ["engine.db", "x" * 200 + ".db"])
def test_a_path_may_be_longer_than_a_socket_s_address(
    make_engine: EngineMaker, make_client: ClientMaker, tmp_path: Path, name: str
) -> None:
    """An address holds 107 bytes; a folder or a name may be longer."""
    folder = tmp_path.joinpath(*["folder-" + "y" * 50] * 2)
    folder.mkdir(parents=True)
    owner = make_engine(folder / name, workflows=KNOWN)

    client = make_client(folder / name)

    assert client.execute("a", double, 2).get(timeout=WAIT_S) == 4
    client.close()
    owner.close()
    assert not [entry for entry in os.listdir(folder) if "socket" in entry or entry.startswith(".")]


def test_links_and_other_folders_lead_to_the_same_owner(
    owner: Tempolite, make_client: ClientMaker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is what counts, not the name that it is reached by."""
    link = path.with_name("link.db")
    link.symlink_to(path)
    monkeypatch.chdir(path.parent)

    assert make_client(link).count() == make_client(path.name).count() == 0


def test_what_a_dead_owner_left_is_replaced(
    make_engine: EngineMaker, make_client: ClientMaker, path: Path
) -> None:
    """Its socket is there, and leads nowhere, until the next owner starts."""
    make_engine(path)._crash()
    assert socket_of(path).exists()
    with pytest.raises(EngineClosed, match="no engine can be reached"):
        make_client()

    make_engine(path, workflows=KNOWN)

    assert make_client().execute("a", double, 2).get(timeout=WAIT_S) == 4


def test_a_socket_that_was_never_finished_is_replaced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between two steps of its making leaves one under another name; the next owner removes it."""

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(socket_file.os, "rename", die)
        with pytest.raises(KeyboardInterrupt):
            socket_file.listen(str(path))
    assert len(os.listdir(path.parent)) == 1

    socket_file.listen(str(path)).close()

    assert os.listdir(path.parent) == [socket_of(path).name]


def test_closing_the_engine_removes_the_socket(owner: Tempolite, path: Path) -> None:
    """And nobody comes in any more."""
    owner.close()

    assert not socket_of(path).exists()
    with pytest.raises(EngineClosed):
        Tempolite.connect(path)


def test_an_engine_in_memory_has_no_socket(
    make_engine: EngineMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing that another process could find it by."""
    monkeypatch.chdir(tmp_path)
    engine = make_engine(":memory:")

    assert os.listdir(tmp_path) == []
    assert engine._system.gateway is None


def test_a_folder_that_takes_no_sockets_costs_only_the_clients(
    make_engine: EngineMaker,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Some file systems have none: one warning, and the engine works."""

    def refuse(_self: object, _address: object) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with caplog.at_level(logging.WARNING, "tempolite"):
        engine = make_engine(path)

    assert engine.execute("a", double, 2).get(timeout=WAIT_S) == 4
    assert [record.message for record in caplog.records if "takes no socket" in record.message]
    engine.close()


def test_without_an_engine_there_is_nobody_to_connect_to(tmp_path: Path) -> None:
    """A file without an owner, and no file at all; nothing is made there."""
    with pytest.raises(EngineClosed, match=r"no engine can be reached that has .*nothing\.db open"):
        Tempolite.connect(tmp_path / "nothing.db")

    assert os.listdir(tmp_path) == []
