package docker

import (
	"context"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

const (
	eventBuffer     = 64
	reconnectFirst  = 250 * time.Millisecond
	reconnectLatest = 10 * time.Second
)

var eventTypes = map[events.Action]runtime.EventType{
	events.ActionStart:   runtime.EventStarted,
	events.ActionDie:     runtime.EventDied,
	events.ActionOOM:     runtime.EventOOM,
	events.ActionPause:   runtime.EventPaused,
	events.ActionUnPause: runtime.EventUnpaused,
	events.ActionDestroy: runtime.EventRemoved,
}

// Events implements runtime.Runtime. A broken stream is opened again, with an
// EventResync first, for what happened in between is unknown.
func (r *Runtime) Events(ctx context.Context) (<-chan runtime.Event, error) {
	if _, err := r.api.Ping(ctx); err != nil {
		return nil, engineError("ping", err)
	}
	messages, failed := r.api.Events(ctx, events.ListOptions{Filters: r.eventFilter()})
	out := make(chan runtime.Event, eventBuffer)
	go func() {
		defer close(out)
		delay := reconnectFirst
		for {
			if r.forward(ctx, messages, failed, out) {
				delay = reconnectFirst
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(delay):
			}
			delay = min(2*delay, reconnectLatest)
			messages, failed = r.api.Events(ctx, events.ListOptions{Filters: r.eventFilter()})
			if !send(ctx, out, runtime.Event{Type: runtime.EventResync, Time: time.Now()}) {
				return
			}
		}
	}()
	return out, nil
}

func (r *Runtime) eventFilter() filters.Args {
	// Not by our labels: networks' events carry none.
	return filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("type", string(events.NetworkEventType)))
}

// forward passes hints on until the stream breaks, and says whether it gave
// any.
func (r *Runtime) forward(ctx context.Context, messages <-chan events.Message, failed <-chan error, out chan<- runtime.Event) bool {
	r.looks.follow()
	defer r.looks.unfollow()
	alive := false
	for {
		select {
		case err := <-failed:
			if ctx.Err() == nil {
				r.log.Warn("the engine's events broke off", "error", err)
			}
			return alive
		case m := <-messages:
			alive = true
			// A placement's container and its network have one name.
			if name := m.Actor.Attributes["name"]; strings.HasPrefix(name, objectPrefix) {
				r.looks.touch(name)
			}
			event, ok := r.eventOf(m)
			if ok && !send(ctx, out, event) {
				return alive
			}
		}
	}
}

func (r *Runtime) eventOf(m events.Message) (runtime.Event, bool) {
	kind, known := eventTypes[m.Action]
	id, err := runtime.IDFromLabels(m.Actor.Attributes)
	if !known || err != nil || id.Chain != r.cfg.Chain || id.Node != r.cfg.Node ||
		m.Actor.Attributes["name"] != objectName(id) {
		return runtime.Event{}, false
	}
	return runtime.Event{Type: kind, ID: id, ContainerID: m.Actor.ID, Time: time.Unix(0, m.TimeNano)}, true
}

func send(ctx context.Context, out chan<- runtime.Event, e runtime.Event) bool {
	select {
	case out <- e:
		return true
	case <-ctx.Done():
		return false
	}
}
