package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// watch notes every event below a prefix, until its context ends.
type watch struct {
	name    string
	journal *journal
	seen    atomic.Int64
}

func (l *load) watch(ctx context.Context, below string, from int64) (*watch, error) {
	client, err := l.dial()
	if err != nil {
		return nil, err
	}
	w := &watch{name: "watch of " + l.prefix + below, journal: l.journal}
	events := client.Watch(ctx, l.prefix+below, clientv3.WithPrefix(), clientv3.WithRev(from))
	go func() {
		defer client.Close()
		for response := range events {
			if err := response.Err(); err != nil {
				w.journal.fail(w.name, err)
			}
			for _, event := range response.Events {
				w.journal.saw(below, string(event.Kv.Key), string(event.Kv.Value), event.Kv.ModRevision)
				w.seen.Store(event.Kv.ModRevision)
			}
		}
		if ctx.Err() == nil {
			w.journal.fail(w.name, fmt.Errorf("ended after revision %d", w.seen.Load()))
		}
	}()
	return w, nil
}

// await waits until the watch has seen this revision.
func (w *watch) await(revision int64, limit time.Duration) {
	deadline := time.Now().Add(limit)
	for w.seen.Load() < revision {
		if time.Now().After(deadline) {
			w.journal.fail(w.name, fmt.Errorf("is at %d, not at %d", w.seen.Load(), revision))
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
