"""etcdproxy-controller: an etcd of its own for every aggregated API server.

Whoever knows sample-controller begins with `controller`, which puts everything together, and
follows one storage:

1. `watches` has an informer for each kind. Their `handlers` put the names of storages into a
   queue, whatever object changed.
2. `workers` take a name out, reconcile it, and put it back: after an error with growing delay.
3. `reconcile` reads the caches (`snapshots`), decides, writes (`writer`) and reports
   (`reporting`). All that is decided is decided by pure functions: `dataplane` says which objects
   the storage should have, `plan` which writes lead there, `status` what there is to tell.

The modules, by what they are about:

- the program: `program` runs first, `cli` makes what there is one of, `options` and `flagvalues`
  are the flags; `log`, `health`, and `httpserver` for probes and metrics
- caches: `transforms` and `sharing` keep them small, `consistency` waits until they show our own
  writes, `watchdog` finds the watch that brings none
- the objects of a storage: `resources` are the kinds, `ownership` says whose an object is, `drift`
  and `fights` hold back what somebody keeps undoing, `changes` collects what was written,
  `secretrefusals`, `rights` and `discovery` tell why something could not be
- its pods: `turn` and `rollouts` say when they may be replaced, `edits` what an edited template
  comes to, `podstate` why they are not ready
- its user in the core etcd: `tenant` decides, `coreusers` asks the keeper of `core`, `userpair` is
  the Secret with its certificate
- its certificates: `certificates` decides, `certifier` carries out, `gatecerts` and `served` look
  at what the gates show, `certstatus` tells; `secretdata` reads Secrets
- its end: `finalizer`, `deletion`
- what is told: `observed` is put together for `status`; `events` are chosen, counted by
  `correlator`, sent by `recorder`; `reconcilemetrics`, `storagemetrics`, `certmetrics` and
  `coremetrics` are for Prometheus

And the packages: `api` reads EtcdStorages, `dataplane` makes their objects, `core` is the core
etcd's users and keys, `pki` the only place that knows cryptography, `consumers` delivers to other
namespaces, `leaderelection` lets one of several controllers work, `inspection` is the commands
status and doctor, and never loaded by the controller.

The words: a *storage* is an EtcdStorage, and a *tenant* whoever uses it. The *core* is the etcd
that all share, the *gate* the Envoy in front of it in each pod, the *keeper* the thread that keeps
users in the core. A *consumer* is an object of another namespace that is given certificates. A
*look* is what was seen of something and decided on it, before anything is done.
"""
