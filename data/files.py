"""Files on disk, as every loader first meets them."""

from pathlib import Path


def existing_file(path: str | Path) -> Path:
    """`path` as a Path; raises FileNotFoundError or ValueError when it is no file."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(
            f"{path}: expected a file, got a folder; hint: name the file inside it"
        )
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: expected a file, found none; hint: check the path and the "
            f"working folder"
        )
    return path
