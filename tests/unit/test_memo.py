"""A memo: a question is asked once, and what is kept on disk is whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from command import memo as on_disk
from toolchain.memo import Memo, answered


def test_a_question_is_asked_once() -> None:
    memo: Memo = {}
    asked: list[str] = []

    def ask(kind: str, question: bytes) -> bytes:
        def answer() -> bytes:
            asked.append(kind)
            return kind.encode() + question

        return answered(memo, kind, question, answer)

    assert [ask("a", b"1"), ask("a", b"1"), ask("b", b"1"), ask("a", b"2")] == [b"a1", b"a1", b"b1", b"a2"]
    assert asked == ["a", "b", "a"]


def test_without_a_memo_each_question_is_asked() -> None:
    answers = iter((b"first", b"second"))
    assert [answered(None, "kind", b"", lambda: next(answers)) for _ in range(2)] == [b"first", b"second"]


def file(directory: Path) -> Path:
    [found] = directory.iterdir()
    return found


def filled(directory: Path, count: int) -> None:
    with on_disk.kept(directory) as memo:
        for number in range(count):
            answered(memo, "kind", bytes([number]), lambda number=number: bytes([number]) * 1000)  # type: ignore[misc]


def test_it_is_there_again(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    for _ in range(2):
        with on_disk.kept(tmp_path) as memo:
            assert answered(memo, "kind", b"\1", bytes) == b"\1" * 1000
        on_disk._held.clear()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("size", [0, 10, 32, 40, 1500])
def test_a_damaged_file_is_as_none(tmp_path: Path, size: int) -> None:
    filled(tmp_path, 3)
    file(tmp_path).write_bytes(file(tmp_path).read_bytes()[:size])
    with on_disk.kept(tmp_path) as memo:
        assert memo == {}


def test_what_nobody_asks_for_is_forgotten_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_disk, "_MOST", 3500)
    filled(tmp_path, 3)
    with on_disk.kept(tmp_path) as memo:
        for question in (b"\0", b"another"):
            answered(memo, "kind", question, lambda: bytes(1000))
    on_disk._held.clear()  # as another process finds it
    with on_disk.kept(tmp_path) as memo:
        kept = [answer[0] for answer in memo.values()]
        assert kept == [2, 0, 0]


def test_a_directory_that_nobody_may_write_is_no_error(tmp_path: Path) -> None:
    filled(tmp_path / "not there", 1)
    assert not list(tmp_path.iterdir())


def test_what_shall_not_be_written_is_known_to_this_process_alone(tmp_path: Path) -> None:
    with on_disk.kept(tmp_path, write=False) as memo:
        answered(memo, "kind", b"", lambda: b"answer")
    with on_disk.kept(tmp_path) as memo:
        pass
    assert not list(tmp_path.iterdir())
    filled(tmp_path, 1)
    with on_disk.kept(tmp_path) as memo:
        assert len(memo) == 1
