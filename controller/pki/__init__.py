"""Certificates: an authority and what it signs. The only place that knows cryptography."""

from controller.pki.authority import CLIENT, SERVER, Authority, Leaf, Pair

__all__ = ["CLIENT", "SERVER", "Authority", "Leaf", "Pair"]
