package main

import (
	"context"
	"fmt"
	"strconv"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	keysPerWorker = 8
	pageSize      = 20
)

// keeper does the requests of one worker, on keys that nobody else writes: so it knows what each
// answer has to be.
type keeper struct {
	client *clientv3.Client
	// root is the prefix of the keys of all workers.
	root    string
	prefix  string
	journal *journal
	count   int
	// revisions are of the last write of each key that the keeper knows of.
	revisions map[string]int64
}

// next returns the key and value of the next write.
func (k *keeper) next() (string, string) {
	k.count++
	return "key-" + strconv.Itoa(k.count%keysPerWorker), strconv.Itoa(k.count)
}

// put writes and returns the revision, 0 if it failed.
func (k *keeper) put(name, value string, options ...clientv3.OpOption) int64 {
	key := k.prefix + name
	var revision int64
	err := k.journal.request("put", key, func(ctx context.Context) error {
		response, err := k.client.Put(ctx, key, value, options...)
		if err == nil {
			revision = response.Header.Revision
		}
		return err
	})
	if err == nil {
		k.journal.wrote(key, value, revision)
	}
	return revision
}

// putAndGet reads what it has just written.
func (k *keeper) putAndGet() {
	name, value := k.next()
	if k.put(name, value) == 0 {
		return
	}
	key := k.prefix + name
	k.journal.request("get", key, func(ctx context.Context) error {
		response, err := k.client.Get(ctx, key)
		if err != nil {
			return err
		}
		if response.Count != 1 || string(response.Kvs[0].Value) != value {
			return fmt.Errorf("not %s but %v", value, response.Kvs)
		}
		return nil
	})
}

// txn writes as an API server does: if nobody else has meanwhile.
func (k *keeper) txn() {
	name, value := k.next()
	key := k.prefix + name
	var revision int64
	err := k.journal.request("txn", key, func(ctx context.Context) error {
		response, err := k.client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(key), "=", k.revisions[key])).
			Then(clientv3.OpPut(key, value)).
			Else(clientv3.OpGet(key)).
			Commit()
		if err != nil {
			return err
		}
		if !response.Succeeded {
			expected := k.revisions[key]
			// To go on from there: one failure is told once.
			for _, kv := range response.Responses[0].GetResponseRange().Kvs {
				k.revisions[key] = kv.ModRevision
			}
			return fmt.Errorf("expected revision %d: %v", expected, response.Responses)
		}
		revision = response.Header.Revision
		return nil
	})
	if err == nil {
		k.journal.wrote(key, value, revision)
		k.revisions[key] = revision
	}
}

// pages reads the keys of all workers.
func (k *keeper) pages() {
	k.list(func([]*mvccpb.KeyValue) {})
}

// list reads the keys of all workers, of one revision, in pages as an API server does.
func (k *keeper) list(each func([]*mvccpb.KeyValue)) {
	k.journal.request("range", k.root, func(ctx context.Context) error {
		from, revision := k.root, int64(0)
		for {
			response, err := k.client.Get(ctx, from,
				clientv3.WithRange(clientv3.GetPrefixRangeEnd(k.root)),
				clientv3.WithLimit(pageSize), clientv3.WithRev(revision))
			if err != nil {
				return err
			}
			each(response.Kvs)
			if !response.More {
				return nil
			}
			from = string(response.Kvs[len(response.Kvs)-1].Key) + "\x00"
			revision = response.Header.Revision
		}
	})
}

// leased writes with a lease, as an API server does for its events.
func (k *keeper) leased() {
	var lease clientv3.LeaseID
	err := k.journal.request("grant", k.prefix, func(ctx context.Context) error {
		response, err := k.client.Grant(ctx, leaseSeconds)
		if err == nil {
			lease = response.ID
		}
		return err
	})
	if err == nil {
		name, value := k.next()
		k.put(name, value, clientv3.WithLease(lease))
	}
}
