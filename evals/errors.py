"""What is the user's to mend: one clear line, exit code 2."""


class UsageError(Exception):
    """Wrong options or files. The message says what to do; the command prints it and exits with 2."""


class BadRow(UsageError):
    """A row that cannot be scored: names file, line and, where there is one, the column.

    `name:line:column: message`, where column counts characters of the line from 1, or `name:line: column 'gold' …`.
    """

    def __init__(self, name: str, line: int, message: str, *, column: int | None = None) -> None:
        place = f"{name}:{line}" if column is None else f"{name}:{line}:{column}"
        super().__init__(f"{place}: {message}")
        self.message = message
