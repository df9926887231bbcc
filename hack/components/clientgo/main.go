// The yardstick of the informers' benchmarks: client-go doing the same.
//
// It runs one shared informer for ReplicaSets with one handler and prints how it went as a line
// of JSON: the seconds from the start until it had synced, the seconds from there until the
// handler has seen as many events as asked for, and the peak of the resident set in bytes.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

type result struct {
	Objects int     `json:"objects"`
	Synced  float64 `json:"synced"`
	Events  float64 `json:"events"`
	Peak    int     `json:"peak"`
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "where the API server is")
	plain := flag.Bool("json", false, "whether to ask for JSON, and not for what client-go prefers")
	events := flag.Int64("events", 0, "how many events after the initial list to wait for")
	flag.Parse()
	config, err := load(*kubeconfig, *plain)
	if err != nil {
		log.Fatal(err)
	}
	measured, err := measure(config, *events)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(measured); err != nil {
		log.Fatal(err)
	}
}

func load(kubeconfig string, plain bool) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err == nil && plain {
		config.ContentType = "application/json"
		config.AcceptContentTypes = "application/json"
	}
	return config, err
}

func measure(config *rest.Config, events int64) (*result, error) {
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(clients, 0)
	informer := factory.Apps().V1().ReplicaSets().Informer()
	seen := newCounter(events)
	if _, err := informer.AddEventHandler(seen); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	began := time.Now()
	factory.Start(ctx.Done())
	// WaitForCacheSync would look only ten times a second.
	cache.WaitFor(ctx, "", informer.HasSyncedChecker())
	synced := time.Now()
	answer := &result{Objects: len(informer.GetStore().ListKeys()), Synced: synced.Sub(began).Seconds()}
	if events > 0 {
		<-seen.done
		answer.Events = seen.last.Sub(seen.first).Seconds()
	}
	answer.Peak, err = peak()
	return answer, err
}

// counter is a handler that notes when it got the first and the last of the changes awaited.
type counter struct {
	wanted      int64
	changes     atomic.Int64
	first, last time.Time
	done        chan struct{}
}

func newCounter(wanted int64) *counter {
	return &counter{wanted: wanted, done: make(chan struct{})}
}

func (c *counter) OnAdd(_ any, initial bool) {
	if !initial {
		c.change()
	}
}

func (c *counter) OnUpdate(_, _ any) { c.change() }
func (c *counter) OnDelete(_ any)    { c.change() }

func (c *counter) change() {
	switch c.changes.Add(1) {
	case 1:
		c.first = time.Now()
	case c.wanted:
		c.last = time.Now()
		close(c.done)
	}
}

// peak reads the largest resident set that this process ever had from Linux's bookkeeping.
func peak() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	return kilobytes * 1024, err
}
