"""Why an HTTP exchange failed, in words: the library's exceptions may hold what the request did."""

from __future__ import annotations


def library_faults(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """What comes of the HTTP library where an exchange fails, and `others`."""
    import httpcore2

    timeout, network, protocol = httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError
    # TLS faults after the handshake come through as they are, and those are OSErrors.
    return (timeout, network, protocol, httpcore2.UnsupportedProtocol, OSError, *others)


def failure_words(exc: Exception, peer: str) -> str:
    """A short cause without anything the request held."""
    import httpcore2

    known: dict[type[Exception], str] = {
        httpcore2.ConnectTimeout: "connecting took too long",
        httpcore2.ReadTimeout: "no answer came in time",
        httpcore2.WriteTimeout: "the request could not be sent in time",
        httpcore2.PoolTimeout: f"every connection to {peer} is busy",
        httpcore2.ConnectError: f"{peer} cannot be reached",
        httpcore2.LocalProtocolError: "the request cannot be written as HTTP",
        httpcore2.RemoteProtocolError: "the connection broke off",
        httpcore2.ReadError: "the connection was lost",
        httpcore2.WriteError: "the connection was lost",
    }
    return next((words for kind, words in known.items() if isinstance(exc, kind)), "the exchange failed")
