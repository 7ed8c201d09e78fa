"""Limits on the size of a request and on the server's memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes, counts and times.

    Args:
        upload: bytes of a film's file.
        json: bytes of any other request body.
        pixels: of a film, decoded.
        phrase: characters of a phrase.
        report: characters of a report.
        phrases: that one request scores.
        header_seconds: from the first byte of a request, or the connection, to the end of its headers.
        body_seconds: from the first to the last byte of a request body.
        films: kept at the same time.
        film_bytes: of their decoded pixels together.
        explanations: kept at the same time.
        explanation_bytes: of their films and maps in original pixels together.
        interactions: word maps of an explanation, kept at the same time.
        waiting: jobs that may wait.
        connections: open at the same time.
        answer_seconds: how long a request waits for a short computation.
    """

    upload: int = 128 << 20
    json: int = 64 << 10
    pixels: int = 60_000_000
    phrase: int = 1000
    report: int = 20_000
    phrases: int = 24
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    films: int = 16
    film_bytes: int = 512 << 20
    explanations: int = 64
    explanation_bytes: int = 1 << 30
    interactions: int = 16
    waiting: int = 24
    connections: int = 96
    answer_seconds: float = 60.0
