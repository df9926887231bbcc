"""TLS of both sides, from files that Envoy reads again when the kubelet swaps `..data`."""

from typing import Final
from urllib.parse import urlsplit

from controller.dataplane.gate.addresses import is_ip
from controller.dataplane.gate.model import Gate, Json, typed

_CORE: Final = "core"
_SERVING: Final = "serving"
_PAIR: Final = "pair"
_CA: Final = "ca"
_SECRET: Final = "envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 a message's name
_NOBODY: Final = ("nobody:",)
"""A SAN that no certificate carries; an empty list would let in every certificate of the CA."""


def core_secrets(gate: Gate) -> dict[str, Json]:
    """Return the SDS files, by name, that tell of our client pair and the core's CA."""
    return _secrets(_CORE, gate.folders.core, ca="ca.pem")


def serving_secrets(gate: Gate) -> dict[str, Json]:
    """Return the SDS files, by name, that tell of the serving pair and the clients' CA bundle."""
    return _secrets(_SERVING, gate.folders.serving, ca="ca.crt")


def towards_core(gate: Gate, url: str) -> Json:
    """Return the transport socket for one URL of the core, whose host the certificate names."""
    host = urlsplit(url).hostname or ""
    san = "IP_ADDRESS" if is_ip(host) else "DNS"
    context = {
        "common_tls_context": _common(gate, _CORE, san, (host,)),
        # Server Name Indication is of names only (RFC 6066, 3).
        **({} if is_ip(host) else {"sni": host}),
    }
    return _socket("UpstreamTlsContext", context)


def towards_clients(gate: Gate) -> Json:
    """Return the transport socket of the ingress: mutual TLS for `client_sans` alone."""
    sans = gate.client_sans or _NOBODY
    context = {
        "require_client_certificate": True,
        # A session taken up again would pass by a bundle that has changed since.
        "disable_stateless_session_resumption": True,
        "disable_stateful_session_resumption": True,
        "common_tls_context": _common(gate, _SERVING, "URI", sans),
    }
    return _socket("DownstreamTlsContext", context)


def _socket(kind: str, context: Json) -> Json:
    message = f"envoy.extensions.transport_sockets.tls.v3.{kind}"
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed(message, **context)}


def _common(gate: Gate, side: str, san: str, values: tuple[str, ...]) -> Json:
    matchers = [{"san_type": san, "matcher": {"exact": value}} for value in values]
    return {
        "alpn_protocols": ["h2"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificate_sds_secret_configs": [_from_file(gate, side, _PAIR)],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": matchers},
            "validation_context_sds_secret_config": _from_file(gate, side, _CA),
        },
    }


def _from_file(gate: Gate, side: str, what: str) -> Json:
    source = {"path": f"{gate.folders.config}/{_file(side, what)}"}
    return {
        "name": f"{side}-{what}",
        "sds_config": {"path_config_source": source, "resource_api_version": "V3"},
    }


def _secrets(side: str, folder: str, *, ca: str) -> dict[str, Json]:
    watched = {"watched_directory": {"path": folder}}
    pair = {
        "certificate_chain": {"filename": f"{folder}/tls.crt"},
        "private_key": {"filename": f"{folder}/tls.key"},
        **watched,
    }
    bundle = {"trusted_ca": {"filename": f"{folder}/{ca}"}, **watched}
    return {
        # Envoy takes one secret from a file.
        _file(side, _PAIR): _secret(side, _PAIR, tls_certificate=pair),
        _file(side, _CA): _secret(side, _CA, validation_context=bundle),
    }


def _secret(side: str, what: str, **content: Json) -> Json:
    return {"resources": [typed(_SECRET, name=f"{side}-{what}", **content)]}


def _file(side: str, what: str) -> str:
    return f"{side}-{what}.json"
