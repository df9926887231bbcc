"""What an etcd serves is read from one that runs, not from a list of ours."""

from google.protobuf import descriptor_pb2, descriptor_pool

from hack.cluster import binaries
from hack.cluster.command import run


def test_the_services_of_a_real_server_are_described() -> None:
    content = run([binaries.ensure("etcd-descriptors")["etcd-descriptors"]])
    files = descriptor_pb2.FileDescriptorSet.FromString(content).file
    services = {f"{file.package}.{service.name}" for file in files for service in file.service}
    assert services > {"etcdserverpb.KV", "etcdserverpb.Auth", "v3lockpb.Lock"}
    assert "grpc.health.v1.Health" in services

    # Each file comes after those that it imports, or adding it would fail.
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.AddSerializedFile(file.SerializeToString())
    assert pool.FindMethodByName("etcdserverpb.KV.Txn").input_type.name == "TxnRequest"
    assert "compare" in pool.FindMessageTypeByName("etcdserverpb.TxnRequest").fields_by_name
