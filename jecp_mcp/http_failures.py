"""Why an HTTP exchange failed, in words: the library's exceptions may hold what the request did."""

from __future__ import annotations


def failure_words(exc: Exception, peer: str) -> str:
    """A short cause without anything the request held."""
    import httpx2

    known: dict[type[Exception], str] = {
        httpx2.ConnectTimeout: "connecting took too long",
        httpx2.ReadTimeout: "no answer came in time",
        httpx2.WriteTimeout: "the request could not be sent in time",
        httpx2.PoolTimeout: f"every connection to {peer} is busy",
        httpx2.ConnectError: f"{peer} cannot be reached",
        httpx2.LocalProtocolError: "the request cannot be written as HTTP",
        httpx2.RemoteProtocolError: "the connection broke off",
        httpx2.ReadError: "the connection was lost",
        httpx2.WriteError: "the connection was lost",
    }
    return next((words for kind, words in known.items() if isinstance(exc, kind)), "the exchange failed")
