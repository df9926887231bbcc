// Command etcd-load is a client of etcd that never rests, and tells in the end what became of each
// of its requests.
//
// Some of its workers do one request after the other, some have long gaps between them; each has
// keys and a connection of its own, one another connection each time. One watch has to see every revision of all of these keys once,
// another one, which hardly ever has anything to see, the few of its own. As soon as somebody
// writes the key "stop" below the prefix, it ends and prints a line of JSON.
//
// It does no request a second time by itself: what etcd's client does not mend has failed.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"log"
	"os"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	requestTimeout = 10 * time.Second
	stopInterval   = 500 * time.Millisecond
	leaseSeconds   = 600
)

func main() {
	endpoint := flag.String("endpoint", "", "URL of the etcd")
	prefix := flag.String("prefix", "load/", "of all keys that are used here, with a slash at its end")
	// As the API server has it: the pair is read for each connection, the CA once.
	var files transport.TLSInfo
	flag.StringVar(&files.TrustedCAFile, "cacert", "", "file with the CA of an https endpoint")
	flag.StringVar(&files.CertFile, "cert", "", "file with the client certificate")
	flag.StringVar(&files.KeyFile, "key", "", "file with its key")
	flag.Parse()
	journal := newJournal()
	load := &load{endpoint: *endpoint, prefix: *prefix, journal: journal}
	if files.TrustedCAFile != "" {
		config, err := files.ClientConfig()
		if err != nil {
			log.Fatal(err)
		}
		load.tls = config
	}
	if err := load.run(); err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(journal.summary()); err != nil {
		log.Fatal(err)
	}
}

type load struct {
	endpoint string
	prefix   string
	journal  *journal
	// tls is nil for a plain endpoint.
	tls *tls.Config
}

// worker is one loop: what it does in a round, and how long it rests in between.
type worker struct {
	name  string
	round func(w *keeper)
	pause time.Duration
	// fresh says that each round has a connection of its own.
	fresh bool
}

var workers = []worker{
	{name: "put-a", round: (*keeper).putAndGet, pause: 5 * time.Millisecond},
	{name: "put-b", round: (*keeper).putAndGet, pause: 5 * time.Millisecond},
	{name: "txn-a", round: (*keeper).txn, pause: 5 * time.Millisecond},
	{name: "txn-b", round: (*keeper).txn, pause: 20 * time.Millisecond},
	{name: "range", round: (*keeper).pages, pause: 50 * time.Millisecond},
	{name: "fresh", round: (*keeper).putAndGet, pause: 500 * time.Millisecond, fresh: true},
	{name: "seldom-put", round: (*keeper).putAndGet, pause: time.Second},
	{name: "seldom-txn", round: (*keeper).txn, pause: 3 * time.Second},
	{name: "leased", round: (*keeper).leased, pause: 4 * time.Second},
	{name: "rare", round: (*keeper).putAndGet, pause: 7 * time.Second},
}

func (l *load) run() error {
	client, err := l.dial()
	if err != nil {
		return err
	}
	defer client.Close()
	begin, err := client.Get(context.Background(), l.prefix+"stop")
	if err != nil {
		return err
	}
	watching, unwatch := context.WithCancel(context.Background())
	defer unwatch()
	from := begin.Header.Revision + 1
	all, err := l.watch(watching, "", from)
	if err != nil {
		return err
	}
	rare, err := l.watch(watching, "rare/", from)
	if err != nil {
		return err
	}
	if err := l.work(client); err != nil {
		return err
	}
	l.finish(client, all, rare)
	return nil
}

func (l *load) dial() (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints:   []string{l.endpoint},
		DialTimeout: requestTimeout,
		TLS:         l.tls,
		// As the API server has them.
		DialKeepAliveTime:    30 * time.Second,
		DialKeepAliveTimeout: 10 * time.Second,
	})
}

// work lets all workers go until somebody writes the key "stop".
func (l *load) work(client *clientv3.Client) error {
	stop := make(chan struct{})
	var done sync.WaitGroup
	for _, w := range workers {
		own, err := l.dial()
		if err != nil {
			return err
		}
		k := l.keeper(own, w.name)
		done.Go(func() {
			defer func() { k.client.Close() }()
			for {
				select {
				case <-stop:
					return
				case <-time.After(w.pause):
					if !w.fresh || l.redial(k) {
						w.round(k)
					}
				}
			}
		})
	}
	for !l.stopped(client) {
		time.Sleep(stopInterval)
	}
	close(stop)
	done.Wait()
	return nil
}

// redial gives the keeper another connection, with what is in the files by now.
func (l *load) redial(k *keeper) bool {
	k.client.Close()
	client, err := l.dial()
	if err != nil {
		l.journal.fail("dial", err)
		return false
	}
	k.client = client
	return true
}

func (l *load) keeper(client *clientv3.Client, name string) *keeper {
	return &keeper{
		client:    client,
		root:      l.prefix,
		prefix:    l.prefix + name + "/",
		journal:   l.journal,
		revisions: map[string]int64{},
	}
}

func (l *load) stopped(client *clientv3.Client) bool {
	var found bool
	l.journal.request("get", l.prefix+"stop", func(ctx context.Context) error {
		response, err := client.Get(ctx, l.prefix+"stop")
		found = err == nil && response.Count > 0
		return err
	})
	return found
}

// finish writes a last time where each watch has to see it: then they have seen all before as well.
func (l *load) finish(client *clientv3.Client, watches ...*watch) {
	k := l.keeper(client, "rare")
	last := k.put("end", "end")
	for _, w := range watches {
		w.await(last, 3*requestTimeout)
	}
	k.list(l.journal.found)
}
