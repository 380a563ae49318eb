"""The ways from Python's own output to the proxy's log: print, logging and tracebacks, one log line for each line."""

from __future__ import annotations

import io
import sys

from proxy_wasm._calls import log, log_enabled
from proxy_wasm._errors import HostError
from proxy_wasm._types import LogLevel

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging

_LONGEST_LINE = 8192


class LogStream(io.TextIOBase):
    """A text stream whose every line becomes a log line; what has no newline yet waits for it."""

    def __init__(self, level: LogLevel) -> None:
        self._level = level
        self._line = ""

    def writable(self) -> bool:
        """Tells that the stream takes text."""
        return True

    def write(self, text: str) -> int:
        """Logs the lines that `text` completes."""
        lines = (self._line + text).split("\n")
        self._line = lines.pop()
        for line in lines:
            log_text(self._level, line)
        # A program which never ends its line must not fill the memory with it.
        if len(self._line) > _LONGEST_LINE:
            log_text(self._level, self._line)
            self._line = ""
        return len(text)


def log_text(level: int, text: str) -> None:
    """Logs a line, whatever is in it: what UTF-8 cannot say is escaped, and what the proxy refuses is lost."""
    try:
        log(level, text.encode("utf-8", "backslashreplace"))
    except HostError:
        return


def install() -> None:
    """Sends print, standard error and, where the filter uses it, logging to the proxy's log."""
    replaced = (sys.stdout, sys.stderr)
    if isinstance(replaced[0], LogStream):
        return
    sys.stdout = LogStream(LogLevel.INFO)
    sys.stderr = LogStream(LogLevel.ERROR)
    # Only a filter that imported logging pays for it.
    if "logging" in sys.modules:
        _install_handler(replaced)


def _install_handler(replaced: tuple[object, object]) -> None:
    if TYPE_CHECKING:
        import logging
    else:
        # An import would take it into every filter's module, compressed.
        logging = sys.modules["logging"]

    class HostHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                level = _host_level(record.levelno)
                for line in self.format(record).splitlines():
                    log_text(level, line)
            except Exception:
                self.handleError(record)

    # What tells of a wrong format compares each frame's folder with this one, which a frozen package has not.
    if not logging.__path__:
        logging.__path__.append(logging.info.__code__.co_filename.rpartition("/")[0])
    root = logging.getLogger()
    handler = HostHandler()
    for other in root.handlers[:]:
        # A handler from logging.basicConfig() writes to the streams replaced here: every line an error, if it stayed.
        if isinstance(other, logging.StreamHandler) and other.stream in replaced:
            handler.setFormatter(other.formatter)
            root.removeHandler(other)
    root.addHandler(handler)
    # WARNING is what logging starts with: whoever set another level meant it.
    if root.level == logging.WARNING:
        root.setLevel(next(level for level in LogLevel if level == LogLevel.CRITICAL or log_enabled(level)) * 10 or 5)


def _host_level(level: int) -> LogLevel:
    """Returns the proxy's level for one of logging's: 10 is debug, 20 info, and so on."""
    return LogLevel(min(max(level // 10, 0), 5))


def traceback_lines(error: BaseException) -> list[str]:
    """Returns the lines of the exception's traceback, causes included, as the interpreter itself writes them."""
    # The interpreter's hook needs none of the modules behind `traceback`; it writes to whatever sys.stderr is.
    text, stderr = io.StringIO(), sys.stderr
    sys.stderr = text
    try:
        sys.__excepthook__(type(error), error, error.__traceback__)
    finally:
        sys.stderr = stderr
    return text.getvalue().splitlines()
