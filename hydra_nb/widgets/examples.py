"""Prompts to begin with: one for each dimension, one for none, one that is no English."""

from __future__ import annotations

EXAMPLES: tuple[tuple[str, str], ...] = (
    (
        "Prove",
        "Prove that every planar graph is 5-colourable, and say where the same argument "
        "breaks for four colours.",
    ),
    (
        "Write code",
        "Write a Python class LRUCache with get and put in O(1), a time to live per entry, "
        "and tests for eviction order.",
    ),
    (
        "Fix a bug",
        "Our Go service leaks about 2 MB per minute, but only under TLS with HTTP/2 "
        "keep-alives. The heap profile points at bufio. Why, and how do I find the cause?",
    ),
    (
        "Use tools",
        "Book me the cheapest direct flight to Lisbon on Friday, add it to my calendar and "
        "send the itinerary to Ana.",
    ),
    ("Small talk", "thanks, that worked!"),
    (
        "Auf Deutsch",
        "Mein SQL-Update sperrt seit heute Morgen die ganze Tabelle. Woran kann das liegen, "
        "und wie schreibe ich es um, damit nur die betroffenen Zeilen gesperrt werden?",
    ),
)
