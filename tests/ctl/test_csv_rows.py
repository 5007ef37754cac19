"""CSV files, also broken ones."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from server.ctl.csv_rows import Problem, Row, opened, sniffed
from server.ctl.failures import BadInput

if TYPE_CHECKING:
    from pathlib import Path


def rows_of(path: Path, content: bytes, delimiter: str = "", encoding: str = "utf-8") -> tuple[list[str], list[Row | Problem]]:
    path.write_bytes(content)
    with opened(path, delimiter=delimiter, encoding=encoding) as (table, _, _):
        return table.header, list(table.rows())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "staff.csv"


def test_rows_come_with_their_lines(path: Path) -> None:
    header, rows = rows_of(path, b"a,b\n1,2\n\n3,4\n")
    assert header == ["a", "b"]
    assert rows == [Row(2, ["1", "2"]), Row(4, ["3", "4"])]


def test_the_mark_at_the_start_of_a_file_is_no_part_of_the_first_name(path: Path) -> None:
    assert rows_of(path, b"\xef\xbb\xbfa,b\n1,2\n")[0] == ["a", "b"]


def test_quoted_cells_may_hold_delimiters_quotes_and_lines(path: Path) -> None:
    _, rows = rows_of(path, b'a,b\r\n"x, ""y""\nz",2\r\n3,4\r\n')
    assert rows == [Row(2, ['x, "y"\nz', "2"]), Row(4, ["3", "4"])]


def test_a_packed_file_is_read_whatever_its_name(path: Path) -> None:
    assert rows_of(path, gzip.compress(b"a,b\n1,2\n"))[1] == [Row(2, ["1", "2"])]


@pytest.mark.parametrize(("header", "delimiter"), [("a;b;c", ";"), ("a\tb", "\t"), ("a|b", "|"), ("a", ","), ('"x;y;z",b', ",")])
def test_the_delimiter_is_found_in_the_header(header: str, delimiter: str) -> None:
    assert sniffed(header) == delimiter


def test_a_given_delimiter_wins(path: Path) -> None:
    assert rows_of(path, b"a;b,c\n1;2,3\n", delimiter=";")[0] == ["a", "b,c"]


def test_a_ragged_row_is_a_problem_of_its_line_only(path: Path) -> None:
    _, rows = rows_of(path, b"a,b\n1\n2,3\n4,5,6\n")
    assert rows == [
        Problem(2, "", "has 1 cells where the header has 2"),
        Row(3, ["2", "3"]),
        Problem(4, "", "has 3 cells where the header has 2"),
    ]


def test_a_row_with_a_nul_is_a_problem_of_its_field(path: Path) -> None:
    assert rows_of(path, b"a,b\n1,x\0y\n2,3\n")[1] == [Problem(2, "b", "contains a NUL character"), Row(3, ["2", "3"])]


def test_a_row_of_empty_cells_is_passed_over(path: Path) -> None:
    assert rows_of(path, b"a,b\n,\n1,2\n,,,\n")[1] == [Row(3, ["1", "2"])]


def test_text_after_a_quote_spoils_its_row_only(path: Path) -> None:
    assert rows_of(path, b'a,b\n"x"y,2\n3,4\n')[1] == [
        Problem(2, "", "text follows the closing quote of a cell"),
        Row(3, ["3", "4"]),
    ]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b'a,b\n1,"open\n2,3\n', "line 2: a quoted cell begins here and is not closed"),
        ("a,b\n1,é\n".encode("latin-1"), "line 2: byte 0xe9 at position 3 is not utf-8"),
        ("a,b\n1,2\n".encode("utf-16"), "is UTF-16"),
        (b"a,b\r1,2\r3,4\r", "carriage return"),
        (b"a" * 2_000_000, "longer than 1024 KiB"),
        (gzip.compress(b"a,b\n1,2\n" * 1000, mtime=0)[:-20], "damaged"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_in_a_sentence(path: Path, content: bytes, part: str) -> None:
    with pytest.raises(BadInput, match=part):
        rows_of(path, content)


def test_another_encoding_is_read_when_it_is_named(path: Path) -> None:
    assert rows_of(path, "a,b\n1,é\n".encode("latin-1"), encoding="latin-1")[1] == [Row(2, ["1", "é"])]


@pytest.mark.parametrize(("delimiter", "encoding"), [("ab", "utf-8"), ('"', "utf-8"), ("", "utf-16"), ("", "klingon")])
def test_an_option_that_makes_no_sense_is_refused(path: Path, delimiter: str, encoding: str) -> None:
    with pytest.raises(BadInput, match=r"--delimiter|--encoding"):
        rows_of(path, b"a,b\n", delimiter, encoding)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    for wrong in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(BadInput, match="cannot read"), opened(wrong):
            pass
