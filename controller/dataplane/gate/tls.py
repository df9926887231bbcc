"""TLS of both sides, from files that Envoy reads again when the kubelet swaps `..data`.

Towards the core those are the operator's PEM files, and files beside the configuration tell of
them. The folder `serving` is the controller's own, so its two files are Envoy's themselves: whom
to let in, with the CAs, changes at one moment and takes no other pod. What is damaged is not
taken, and the last good goes on; what then comes again as it was is taken again. Of PEM files
Envoy takes only what differs from the last good: so after a damaged pair towards the core that
came back as it was, a new CA of the core waits for another pair or pod.
"""

import hashlib
from typing import Final
from urllib.parse import urlsplit

import orjson

from controller.dataplane.gate.addresses import is_ip
from controller.dataplane.gate.model import Gate, Json, typed

PAIR_FILE: Final = "pair.pb"
CLIENTS_FILE: Final = "clients.json"
"""In the folder `serving`."""

_CORE_PAIR: Final = "core-pair"
_CORE_CA: Final = "core-ca"
_SERVING_PAIR: Final = "serving-pair"
_CLIENTS: Final = "clients"
_SECRET: Final = "envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 a message's name
_NOBODY: Final = ("nobody:",)
"""A SAN that no certificate carries; an empty list would let in every certificate of the CA."""


def core_secrets(gate: Gate) -> dict[str, Json]:
    """Return the SDS files, by name, that tell of our client pair and the core's CA."""
    folder = gate.folders.core
    watched = _watched(folder)
    pair = {
        "certificate_chain": {"filename": f"{folder}/tls.crt"},
        "private_key": {"filename": f"{folder}/tls.key"},
        **watched,
    }
    bundle = {"trusted_ca": {"filename": f"{folder}/ca.pem"}, **watched}
    return {
        f"{_CORE_PAIR}.json": _resources(_CORE_PAIR, tls_certificate=pair),
        f"{_CORE_CA}.json": _resources(_CORE_CA, validation_context=bundle),
    }


def clients_file(uris: tuple[str, ...], bundle: bytes) -> bytes:
    """Return CLIENTS_FILE, which lets in clients of these URI SANs and nobody else.

    `bundle` holds the CAs that sign them, in PEM. Same arguments, in any order, same bytes.
    """
    matchers = [_san("URI", uri) for uri in sorted(uris) or _NOBODY]
    context = {
        "trusted_ca": {"inline_string": bundle.decode("ascii")},
        "match_typed_subject_alt_names": matchers,
    }
    # Envoy tells of it once it has taken the file.
    content = {"version_info": clients_version(uris)}
    content |= _resources(_CLIENTS, validation_context=context)
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def clients_version(uris: tuple[str, ...]) -> str:
    """Return what tells this list of clients from others, in any order."""
    return hashlib.sha256("\n".join(sorted(uris)).encode()).hexdigest()[:16]


def pair_file(chain: bytes, key: bytes) -> bytes:
    """Return PAIR_FILE, by which the ingress serves `chain`, both in PEM.

    It is binary because Envoy logs the whole of a JSON file that it cannot read.
    """
    # DiscoveryResponse.resources, of Any; DataSource.inline_bytes.
    pair = _field(1, _field(2, chain)) + _field(2, _field(2, key))
    secret = _field(1, _SERVING_PAIR.encode()) + _field(2, pair)
    resource = _field(1, f"type.googleapis.com/{_SECRET}".encode()) + _field(2, secret)
    return _field(2, resource)


def towards_core(gate: Gate, url: str) -> Json:
    """Return the transport socket for one URL of the core, whose host the certificate names."""
    host = urlsplit(url).hostname or ""
    names = [_san("IP_ADDRESS" if is_ip(host) else "DNS", host)]
    config = gate.folders.config
    validation = {
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": names},
            "validation_context_sds_secret_config": _from(_CORE_CA, f"{config}/{_CORE_CA}.json"),
        }
    }
    pair = _from(_CORE_PAIR, f"{config}/{_CORE_PAIR}.json")
    context = {
        "common_tls_context": _common(pair, validation),
        # Server Name Indication is of names only (RFC 6066, 3).
        **({} if is_ip(host) else {"sni": host}),
    }
    return _socket("UpstreamTlsContext", context)


def towards_clients(gate: Gate) -> Json:
    """Return the transport socket of the ingress: mutual TLS."""
    folder = gate.folders.serving
    watched = _watched(folder)
    pair = _from(_SERVING_PAIR, f"{folder}/{PAIR_FILE}", **watched)
    clients = _from(_CLIENTS, f"{folder}/{CLIENTS_FILE}", **watched)
    context = {
        "require_client_certificate": True,
        # A session taken up again would pass by a bundle that has changed since.
        "disable_stateless_session_resumption": True,
        "disable_stateful_session_resumption": True,
        "common_tls_context": _common(pair, {"validation_context_sds_secret_config": clients}),
    }
    return _socket("DownstreamTlsContext", context)


def _socket(kind: str, context: Json) -> Json:
    message = f"envoy.extensions.transport_sockets.tls.v3.{kind}"
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed(message, **context)}


def _common(pair: Json, validation: Json) -> Json:
    return {
        "alpn_protocols": ["h2"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificate_sds_secret_configs": [pair],
        **validation,
    }


def _san(kind: str, value: str) -> Json:
    return {"san_type": kind, "matcher": {"exact": value}}


def _from(name: str, path: str, **watched: Json) -> Json:
    """Return where the secret `name` is read; `watched` if its file itself is swapped."""
    source = {"path": path, **watched}
    return {
        "name": name,
        "sds_config": {"path_config_source": source, "resource_api_version": "V3"},
    }


def _watched(folder: str) -> dict[str, Json]:
    return {"watched_directory": {"path": folder}}


def _resources(name: str, **content: Json) -> Json:
    # Envoy takes one secret from a file.
    return {"resources": [typed(_SECRET, name=name, **content)]}


def _field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf: its number, the length in groups of seven bits, its bytes."""
    length, groups = len(content), b""
    while length > 0x7F:
        groups += bytes((length & 0x7F | 0x80,))
        length >>= 7
    return bytes((number << 3 | 2,)) + groups + bytes((length,)) + content
