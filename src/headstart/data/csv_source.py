"""CSV files that list images and their labels: the layout ``train.csv`` (id, filename, label) beside ``train/``."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from headstart.data.folders import Found, shortened
from headstart.data.imageset import is_file
from headstart.errors import DataError

FILENAME, LABEL = "filename", "label"


@dataclass(frozen=True)
class Row:
    """One listed image: its line in the file, its path as a relative POSIX path, its label ("" where there is none)."""

    line: int
    name: str
    label: str


def read_csv(file: Path) -> Found:
    """The images a CSV lists, in the file's order, with labels where it has a label column.

    The file is UTF-8 (a byte order mark is skipped) with a header; ``filename`` is needed, ``label`` is optional, other
    columns are ignored. Files are looked for in the folder called like the CSV, then in the CSV's own, then in its
    ``images``; the one that holds most of them is taken. A listed file that is missing stays in the list, and goes to
    the quarantine when the images are checked. DataError for anything that cannot be read as meant.
    """
    rows, labelled = _rows(file)
    rows, n_doubles = _distinct(file, rows)
    root, n_missing = _image_folder(file, rows)
    words = f"the images {file} lists in {root}"
    notes = [f"{n_missing} missing"] * (n_missing > 0) + [f"{n_doubles} listed twice"] * (n_doubles > 0)
    labels = _labels(file, rows) if labelled else None
    return Found(
        root, tuple(row.name for row in rows), labels, "csv", words + (f" ({', '.join(notes)})" if notes else "")
    )


def lists_images(file: Path) -> bool:
    """Whether ``file`` is a readable CSV with a filename column."""
    return has_columns(file, FILENAME)


def has_columns(file: Path, *names: str) -> bool:
    """Whether ``file`` is a readable CSV with columns of these names (in lower case)."""
    try:
        return set(names) <= set(header_of(next(iter(csv_lines(file)), (1, []))[1]))
    except DataError:
        return False


def why_unread(file: Path) -> str:
    """Why ``lists_images`` says no."""
    try:
        header = header_of(next(iter(csv_lines(file)), (1, []))[1])
    except DataError as error:
        return str(error)
    return f"it has no column {FILENAME!r} (its first line has {', '.join(header)[:80] or 'nothing'})"


def csv_lines(file: Path) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not blank. DataError where the file cannot be read as CSV."""
    if file.exists() and not file.is_file():
        raise DataError(f"{file} is a folder, a pipe or a device, not a CSV file.")
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 ({error.reason} at byte {error.start}). Save it as UTF-8.") from error
    except csv.Error as error:
        raise DataError(f"{file} cannot be read as CSV: {error}.") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error


def header_of(cells: list[str]) -> list[str]:
    """The names of the columns, in lower case."""
    return [cell.strip().lower() for cell in cells]


def require_single(file: Path, header: list[str], *names: str) -> None:
    """DataError where a column that is read is there more than once."""
    for name in names:
        if header.count(name) > 1:
            raise DataError(f"{file} has {header.count(name)} columns {name!r}. Keep the one that is meant.")


def _rows(file: Path) -> tuple[list[Row], bool]:
    lines = csv_lines(file)
    header = header_of(lines[0][1]) if lines else []
    if FILENAME not in header:
        raise DataError(
            f"{file} has no column {FILENAME!r}: its first line has {', '.join(header) or 'nothing'}. It needs a comma-"
            "separated header such as id,filename,label. To ignore the file, write folder:PATH or classes:PATH."
        )
    require_single(file, header, FILENAME, LABEL)
    name_at, label_at = header.index(FILENAME), header.index(LABEL) if LABEL in header else None
    rows = []
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise DataError(f"{file}, line {line}: {len(cells)} values under a header of {len(header)} columns.")
        label = "" if label_at is None else cells[label_at].strip()
        rows.append(Row(line, relative_name(file, line, cells[name_at].strip()), label))
    if not rows:
        raise DataError(f"{file} lists no images: it has a header and no other line.")
    return rows, label_at is not None and any(row.label for row in rows)


def relative_name(file: Path, line: int, name: str) -> str:
    """The file name as a normalised relative path. DataError when it is empty or could lead out of the folder."""
    windows = PureWindowsPath(name)
    if not name or "\0" in name or name.endswith("/"):
        raise DataError(f"{file}, line {line}: {name!r} is not a file name.")
    if name.startswith("/") or windows.drive or windows.root or ".." in windows.parts:
        raise DataError(
            f"{file}, line {line}: {name!r} is absolute or leads out of the image folder. "
            "File names must be relative to the image folder and without '..'."
        )
    return PurePosixPath(name).as_posix()


def _distinct(file: Path, rows: list[Row]) -> tuple[list[Row], int]:
    """Each file once; DataError when one is listed with two labels."""
    first: dict[str, Row] = {}
    for row in rows:
        known = first.setdefault(row.name, row)
        if known.label != row.label:
            raise DataError(
                f"{file}: {row.name} is labelled {known.label!r} in line {known.line} and {row.label!r} in line "
                f"{row.line}. Give each image one label."
            )
    return list(first.values()), len(rows) - len(first)


def _image_folder(file: Path, rows: list[Row]) -> tuple[Path, int]:
    """The folder that holds most of the listed files, and how many it lacks."""
    return folder_of(file, [row.name for row in rows], [file.with_suffix(""), file.parent, file.parent / "images"])


def folder_of(file: Path, names: Sequence[str], offered: Sequence[Path]) -> tuple[Path, int]:
    """Which of the ``offered`` folders holds most of the files that a CSV lists, and how many of them it lacks.

    DataError where none holds any.
    """
    present = {}
    for folder in offered:
        present[folder] = sum(is_file(folder / name) for name in names) if folder.is_dir() else 0
        if present[folder] == len(names):
            break
    root = max(present, key=lambda folder: present[folder])
    if not present[root]:
        raise DataError(
            f"None of the {len(names)} files that {file} lists exists (such as {shortened(names[0])}). "
            f"Looked in {', '.join(map(str, offered))}. Put the images into one of these folders."
        )
    return root, len(names) - present[root]


def _labels(file: Path, rows: list[Row]) -> tuple[str, ...]:
    unlabelled = [row.line for row in rows if not row.label]
    if unlabelled:
        raise DataError(
            f"{file}: {len(unlabelled)} of {len(rows)} images have no label (first: line {unlabelled[0]}). "
            "Label them, or list them in a CSV of their own without a label column."
        )
    return tuple(row.label for row in rows)
