"""The form in which TLS server names are compared: those that are configured, and those that clients ask for."""

from __future__ import annotations

LONGEST = 253
"""How many characters a name has at most in DNS, without the dot at its end."""


def normal_form(name: str) -> str:
    """Returns a name in lower case and without dots at its end.

    Of a name that is too long for DNS only the end is left, behind a "?": a wildcard still matches it, and no name is like it.
    """
    name = name.lower().rstrip(".")
    return name if len(name) <= LONGEST else "?" + name[1 - LONGEST :]
