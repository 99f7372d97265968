from collections.abc import Sequence
from pathlib import Path

import pandera.pandas as pa
import pytest

from generator.foundation.errors import SpecError
from generator.foundation.tables import TableRow, check_cells, read_table, read_text

COLUMNS = {"name": True, "age": True, "note": False}


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def values(rows: Sequence[TableRow]) -> list[tuple[int, str, str, str]]:
    return [(row.line, row.cells["name"], row.cells["age"], row.cells["note"]) for row in rows]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("name,age\nAda,36\n", [(2, "Ada", "36", "")], id="plain"),
        pytest.param("name,age\nAda,36", [(2, "Ada", "36", "")], id="no newline at the end"),
        pytest.param("age,note,name\n36,x,Ada\n", [(2, "Ada", "36", "x")], id="another order"),
        pytest.param(" Name , AGE\n Ada ,  36 \n", [(2, "Ada", "36", "")], id="spaces and capitals"),
        pytest.param("name,age,\nAda,36,\nBob,7,\n", [(2, "Ada", "36", ""), (3, "Bob", "7", "")], id="trailing commas"),
        pytest.param("name,age\nAda,36,,,\n", [(2, "Ada", "36", "")], id="empty cells beyond the header"),
        pytest.param("name,age,note\nAda,36\n", [(2, "Ada", "36", "")], id="a short line"),
        pytest.param("\ufeffname,age\nAda,36\n", [(2, "Ada", "36", "")], id="byte order mark"),
        pytest.param("name,age\r\nAda,36\r\n", [(2, "Ada", "36", "")], id="CRLF"),
        pytest.param("name\tage\r\nAda\t36\r\n".encode("utf-16"), [(2, "Ada", "36", "")], id="Excel's Unicode text"),
        pytest.param("\ufeffsep=;\r\nname;age\r\nAda, C;36\r\n", [(3, "Ada, C", "36", "")], id="sep="),
        pytest.param('"sep=|"\nname|age\nAda;,|36\n', [(3, "Ada;,", "36", "")], id="a quoted sep="),
        pytest.param("\u200bname,age\n\u200bAda\xa0,36\u200b\n", [(2, "Ada", "36", "")], id="zero-width spaces"),
        pytest.param("name,age\rAda,36\rBob,7", [(2, "Ada", "36", ""), (3, "Bob", "7", "")], id="CR"),
        pytest.param("name;age\nAda, Countess;36\n", [(2, "Ada, Countess", "36", "")], id="semicolons"),
        pytest.param("\n\nname;age\nAda, Countess;36\n", [(4, "Ada, Countess", "36", "")], id="late semicolons"),
        pytest.param('name,age\n"Ada, Countess",36\n', [(2, "Ada, Countess", "36", "")], id="a quoted comma"),
        pytest.param('name, age\n36, "7, 8"\n', [(2, "36", "7, 8", "")], id="a space before a quote"),
        pytest.param('name,age\n"say ""hi""",1\n', [(2, 'say "hi"', "1", "")], id="doubled quotes"),
        pytest.param('name,age\na 3" pipe,1\n', [(2, 'a 3" pipe', "1", "")], id="a quote inside a word"),
        pytest.param("name,age\n\n,\n  ,  \nAda,36\n\n,,\n\n", [(5, "Ada", "36", "")], id="empty lines"),
        pytest.param('name,age\n"A\nd\na",1\nBob,2\n', [(2, "A\nd\na", "1", ""), (5, "Bob", "2", "")], id="newlines"),
        pytest.param("name,age\nÉloïse,½\n", [(2, "Éloïse", "½", "")], id="not only ASCII"),
        pytest.param(
            "name,age\nnan,NA\nnull,None\n", [(2, "nan", "NA", ""), (3, "null", "None", "")], id="NA is a word"
        ),
    ],
)
def test_rows_as_people_write_them(tmp_path, content, expected):
    table = read_table(write(tmp_path, content), COLUMNS)
    assert (table.faults, table.missing) == ((), frozenset())
    assert values(table.rows) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", ["1 None None: its first line names the columns: name, age, note"]),
        ("\n , \n\n", ["1 None None: the file is empty"]),
        ("name,age\n", ["1 None None: no rows below the header"]),
        ("name,age,nota\na,1\n", ["1 nota None: unknown column; did you mean 'note'?"]),
        ("name,age,zzz\na,1\n", ["1 zzz None: unknown column; known columns: name, age, note"]),
        ("name\na\n", ["1 age None: this column is missing"]),
        ("\nage,name,age\n1,a,2\n", ["2 age None: this column is named twice"]),
        ("name,age\na,1\nb,2,3\n", ["3 None 3: 3 cells, the header 2 columns"]),
        ("name,age\nAda, Countess, 36\n", ["2 None 36: needs double quotes"]),
        ("name,age,\na,1,x\n", ["2 None x: an empty column name"]),
        ('name,age\na,1\n"b,2\nc,3\n', ["3 None None: check the quotes"]),
        ('name,age\n"a"b,1\n', ["2 None None: check the quotes"]),
        ('"name,age\n', ["1 None None: check the quotes"]),
        ("name,age\n" + "a" * 200_000, ["2 None None: field larger than"]),
        (
            "nam,age,age\na,1,1\nb,1,1,1\n",
            [
                "1 nam None: did you mean 'name'?",
                "1 age None: named twice",
                "1 name None: missing",
                "3 None 1: 4 cells, the header 3 columns",
            ],
        ),
    ],
)
def test_faults_of_shape(tmp_path, content, expected):
    path = write(tmp_path, content)
    faults = read_table(path, COLUMNS).faults
    for fault, said in zip(faults, expected, strict=True):
        place, words = said.split(": ", 1)
        assert (fault.file, f"{fault.line} {fault.column} {fault.found}") == (str(path), place)
        assert words in fault.expected


def test_sound_rows_survive_a_fault_elsewhere(tmp_path):
    table = read_table(write(tmp_path, "name,age\na,1\nb,2,3\nc,4\n"), COLUMNS)
    assert values(table.rows) == [(2, "a", "1", ""), (4, "c", "4", "")]
    assert len(table.faults) == 1


@pytest.mark.parametrize(
    ("content", "age"),
    [
        ("name;age\n1,5;0,75\n", "0.75"),
        ("name\tage\n1,5\t30,5 %\n", "30.5 %"),
        ("sep=;\nname;age\n1,5;1,5px\n", "1.5px"),
        ("name;age\n1,5;1,5,2\n", "1,5,2"),
        ("name;age\n1,5;a,5\n", "a,5"),
        ('name,age\n"1,5","0,75"\n', "0,75"),
    ],
)
def test_a_decimal_comma_where_cells_are_separated_by_something_else(tmp_path, content, age):
    (row,) = read_table(write(tmp_path, content), COLUMNS, ("age",)).rows
    assert (row.cells["name"], row.cells["age"]) == ("1,5", age)


@pytest.mark.parametrize(
    ("content", "missing"),
    [("age,name\n1,a\n", set()), ("name\na\n", {"age"}), ("note\nx\n", {"name", "age"}), ("", {"name", "age"})],
)
def test_missing_columns(tmp_path, content, missing):
    # Without 'note' nothing is missing: it is not required.
    assert read_table(write(tmp_path, content), COLUMNS).missing == missing


def test_another_encoding(tmp_path):
    path = write(tmp_path, "name,age\nRené,3\n".encode("latin-1"))
    with pytest.raises(SpecError) as caught:
        read_text(path)
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.found) == (str(path), 2, r"\xe9")
    assert "UTF-8" in fault.expected


def test_no_file_and_no_readable_file(tmp_path):
    for path, words in ((tmp_path / "none.csv", "no such file"), (tmp_path, "cannot be read: Is a directory")):
        with pytest.raises(SpecError) as caught:
            read_table(path, COLUMNS)
        (fault,) = caught.value.faults
        assert (fault.file, fault.line) == (str(path), None)
        assert words in fault.expected


SCHEMA = pa.DataFrameSchema(
    {
        "name": pa.Column(str, pa.Check(str.isalpha, element_wise=True, error="letters")),
        "age": pa.Column(str, pa.Check(str.isdecimal, element_wise=True, error="digits")),
    }
)


def test_every_wrong_cell_is_a_fault_of_its_own(tmp_path):
    path = write(tmp_path, "name,age\nAda,old\n\nBob,7\n7,old\n,\nNA,\n")
    faults = check_cells(path, read_table(path, COLUMNS).rows, SCHEMA)
    # The same wrong value twice is two faults, an empty cell is one too, and the word NA is a name.
    assert sorted((fault.line, fault.column, fault.found, fault.expected) for fault in faults) == [
        (2, "age", "old", "digits"),
        (5, "age", "old", "digits"),
        (5, "name", "7", "letters"),
        (7, "age", "", "digits"),
    ]
    assert {fault.file for fault in faults} == {str(path)}
    assert check_cells(path, [], SCHEMA) == []
