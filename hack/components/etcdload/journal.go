package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

const failuresKept = 100

// write is one that has been answered, or an event of a watch.
type write struct {
	key, value string
}

// journal holds what each request has come to, and what the watches have seen.
type journal struct {
	mutex    sync.Mutex
	requests map[string]int
	failures []string
	failed   int
	longest  map[string]time.Duration
	written  map[int64]write
	content  map[string]string
	events   map[string]map[int64][]write
	stored   map[string]string
}

func newJournal() *journal {
	return &journal{
		requests: map[string]int{},
		longest:  map[string]time.Duration{},
		written:  map[int64]write{},
		content:  map[string]string{},
		events:   map[string]map[int64][]write{},
		stored:   map[string]string{},
	}
}

// request does something within the time of a request, and notes how it went.
func (j *journal) request(kind, key string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	began := time.Now()
	err := do(ctx)
	took := time.Since(began)
	j.mutex.Lock()
	j.requests[kind]++
	j.longest[kind] = max(j.longest[kind], took)
	j.mutex.Unlock()
	if err != nil {
		j.fail(fmt.Sprintf("%s %s after %s", kind, key, took), err)
	}
	return err
}

func (j *journal) fail(what string, err error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.failed++
	if len(j.failures) < failuresKept {
		now := time.Now().UTC().Format("15:04:05.000")
		j.failures = append(j.failures, fmt.Sprintf("%s %s: %v", now, what, err))
	}
}

// wrote notes a write that was answered.
func (j *journal) wrote(key, value string, revision int64) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.written[revision] = write{key, value}
	j.content[key] = value
}

func (j *journal) saw(watch, key, value string, revision int64) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if j.events[watch] == nil {
		j.events[watch] = map[int64][]write{}
	}
	j.events[watch][revision] = append(j.events[watch][revision], write{key, value})
}

func (j *journal) found(stored []*mvccpb.KeyValue) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	for _, kv := range stored {
		j.stored[string(kv.Key)] = string(kv.Value)
	}
}

// summary is what the program prints.
type summary struct {
	Requests map[string]int     `json:"requests"`
	Failed   int                `json:"failed"`
	Failures []string           `json:"failures"`
	Longest  map[string]float64 `json:"longest"`
	Events   int                `json:"events"`
	// Unseen are answered writes that a watch has not shown, or not as they were.
	Unseen []string `json:"unseen"`
	// Twice are revisions that a watch has shown more than once.
	Twice []int64 `json:"twice"`
	// Unknown are events of writes that were not answered.
	Unknown []string          `json:"unknown"`
	Content map[string]string `json:"content"`
	Stored  map[string]string `json:"stored"`
}

func (j *journal) summary() *summary {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	s := &summary{
		Requests: j.requests, Failed: j.failed, Failures: j.failures,
		Longest: map[string]float64{}, Content: j.content, Stored: j.stored,
	}
	for kind, took := range j.longest {
		s.Longest[kind] = took.Seconds()
	}
	for below, events := range j.events {
		for revision, seen := range events {
			s.Events += len(seen)
			if len(seen) > 1 {
				s.Twice = append(s.Twice, revision)
			}
			if _, ok := j.written[revision]; !ok && !strings.HasSuffix(seen[0].key, "stop") {
				s.Unknown = append(s.Unknown, fmt.Sprint(revision, seen[0]))
			}
		}
		for revision, wrote := range j.written {
			concerned := strings.Contains(wrote.key, below)
			if seen := events[revision]; concerned && (len(seen) == 0 || seen[0] != wrote) {
				s.Unseen = append(s.Unseen, fmt.Sprintf("%d %v, but %v", revision, wrote, seen))
			}
		}
	}
	return s
}
