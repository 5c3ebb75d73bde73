"""Phrases that made readers stumble, so that they do not come back.

What lives here: `PHRASES`, and `found`, which looks for them in a text. Each has a plain form: the usual word order,
one thought a sentence, the words that the field uses. It is a list of what was seen, and no judge of style.
"""

from __future__ import annotations

import re

__all__ = ["PHRASES", "found"]

PHRASES: dict[str, str] = {
    r"shows? a hole as if": "show the gap as if nothing were missing",
    r"Kept are\b": "The room keeps …",
    r"called back, or that ended|token was called back": "a revoked token",
    r"Whom you have let in, you know": "For clients that you have let in, count by `sub`",
    r"To be silent is the other|to shout is none": "Sending nothing would also do; sending to everyone would not",
    r"Everyone is one too": "'Everyone' is a room as well",
    r"has an ack id between them": "carries an ack id between the two digits and the array",
    r"wins nothing by": "gains nothing from …",
    r"In Node there is no such refusal": "Node refuses nothing, even on a single server",
    r"Have it fetched": "Queue it for the next GET.",
    r"without a word that it would not": "Abort TCP; a client this slow would not read a close frame.",
    r"not let in is not let out": "A refused client gets no disconnect event, so remove it here.",
    r"Say so, then what was said": "Send CONNECT, then the messages held during the connect handler",
    r"The mend is old\b": "say what the remedy is, and where it was shown",
    r"\b(is|are) heard by nobody\b": "nobody receives …",
    r"\bwhoever's page\b": "the page of whichever site",
    r"\bgive(s)? a token back\b": "revoke a token",
}
"""By regular expression: what to write instead."""
PATTERNS = {re.compile(pattern, re.IGNORECASE): instead for pattern, instead in PHRASES.items()}


def found(text: str) -> list[str]:
    """A sentence for each phrase in the text, however its lines are broken."""
    line = " ".join(text.split())
    return [
        f"'{line[max(match.start() - 30, 0) : match.end() + 30]}': write '{instead}'"
        for pattern, instead in PATTERNS.items()
        for match in pattern.finditer(line)
    ]
