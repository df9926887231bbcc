"""All attacks, by names that a person understands."""

from collections.abc import Callable, Mapping

from tests.attack import (
    certificates,
    headers,
    keys,
    leases,
    malformed,
    probes,
    transport,
)
from tests.attack.methods import PROXY
from tests.attack.scene import Place, Scene

Attack = Callable[[Scene], None]
"""Fails where it gets through. What it may have changed in the core its caller looks at."""

ATTACKS: Mapping[str, Attack] = {
    "read over the prefix's ends": keys.reads,
    "count and name others' keys": keys.counts,
    "write others' keys": keys.writes,
    "delete over the prefix's ends": keys.deletes,
    "transactions over the prefix's ends, nested ones too": keys.transactions,
    "compare with others' keys": keys.comparisons,
    "watch over the prefix's ends": keys.watches,
    "watch by odd numbers": keys.watch_identities,
    "revoke another's lease": leases.revoke,
    "revoke another's lease by the JSON gateway": leases.revoke_by_gateway,
    "keep another's lease alive": leases.keep_alive,
    "look up another's lease": leases.look_up,
    "list all leases": leases.listing,
    "grant leases of chosen numbers": leases.chosen_numbers,
    "ask by a grant whether a lease exists": leases.oracle,
    "grant leases for 285 years": leases.long_lives,
    "grant leases in disguise": leases.disguised_grants,
    "grant leases by another path": leases.disguised_path,
    "grant leases in pieces": leases.grants_in_pieces,
    "grant very many leases": leases.many,
    "attach a key to another's lease": leases.attach,
    "forge a user": headers.forged_users,
    "give orders to Envoy": headers.words_to_envoy,
    "name another host": headers.authorities,
    "giant metadata": headers.giant_metadata,
    "deadlines that have passed": headers.expired_deadlines,
    "garbage for messages": malformed.garbage,
    "giant messages": malformed.giants,
    "giant lengths announced": malformed.giant_prefixes,
    "compression bombs": malformed.compressed,
    "messages in pieces": malformed.pieces,
    "deeply nested transactions": malformed.deep_transactions,
    "transactions that read again and again": malformed.reading_transactions,
    "very broad transactions": malformed.broad_transactions,
    "an operation that is none": malformed.empty_operation,
    "odd paths": transport.paths,
    "the JSON gateway and other HTTP": transport.gateway,
    "HTTP/1": transport.http1,
    "upgrades": transport.upgrade,
    "odd HTTP methods": transport.methods,
    "odd content types": transport.content_types,
    "reflection": transport.reflection,
    "smuggled headers": transport.smuggling,
    "rapid resets": transport.rapid_resets,
    "very many streams": transport.many_streams,
    "very many watches": transport.many_watches,
    "very many connections": transport.many_connections,
    "floods of frames": transport.floods,
    "Envoy's admin by the probes": probes.admin_paths,
    "drain without the word for it": probes.drain,
    "write to the probes": probes.probes_only_read,
    "questions to the metrics": probes.metrics_questions,
    "what the probes tell of certificates": probes.certificates,
    "etcd's methods at the probes": probes.grpc_at_probes,
    "headers at the probes": probes.headers,
    "ports of the pod alone": probes.private_ports,
    "others' certificates": certificates.strangers,
}


def tried_at(name: str, place: Place) -> bool:
    """Whether an attack is to fail at this place; where not, it is one of `opens`."""
    return place != PROXY or ATTACKS[name] is not leases.attach
