package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

const (
	spoolStream = "SPOOL"
	// eventID keeps the message id for the drain. Nats-Msg-Id would make the
	// spool drop repeats, and what it holds could not be counted.
	eventID = "Leadbus-Event-Id"
	// drainWait is the pause between two looks at a bus that is away, and
	// drainMost what one look takes along.
	drainWait  = 250 * time.Millisecond
	drainMost  = 256
	spoolAlarm = 30 * time.Second // between two lines about a spool in use
)

// SpoolOptions describe an edge's spool.
type SpoolOptions struct {
	Dir      string // one process at a time: the caller holds a lock on it
	MaxBytes int64  // then Publish fails; 0: as much as the disk holds
	Markets  []string
	Log      zerolog.Logger
	Registry prometheus.Registerer
}

// Spool publishes through a connection and keeps on this machine's disk what
// the bus does not acknowledge within a second, or at once while it is known to
// be away. Run brings it over, in order and under the same message ids. Markets
// are independent of each other.
//
// It is a NATS server without a listener that syncs before it answers: the
// stream's own format, and its care for a torn last write.
type Spool struct {
	to     *Conn
	server *Server
	c      *Conn // to the spool's own server
	stream jetstream.Stream
	log    zerolog.Logger

	mu      sync.Mutex
	markets map[string]*outlet
}

// outlet is the way of one market's events.
type outlet struct {
	market string
	// away: the last publish failed. The drain finds out when that is over.
	away bool
	// held counts the events in the spool, by lead. Further events of such a
	// lead go there too, so that none overtakes another.
	held  map[string]int
	total int
	wake  chan struct{}
}

// OpenSpool starts the spool with what it held before.
func OpenSpool(ctx context.Context, to *Conn, o SpoolOptions) (*Spool, error) {
	server, err := StartServer(ServerOptions{StoreDir: o.Dir, SyncAlways: true, Log: o.Log})
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s := &Spool{to: to, server: server, log: o.Log, markets: map[string]*outlet{}}
	if err := s.open(ctx, o); err != nil {
		s.Close()
		return nil, fmt.Errorf("spool: %w", err)
	}
	return s, nil
}

func (s *Spool) open(ctx context.Context, o SpoolOptions) (err error) {
	if s.c, err = Connect(ctx, Options{Server: s.server, User: "spool", Log: s.log}); err != nil {
		return err
	}
	if s.stream, err = s.c.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: spoolStream, Subjects: []string{"lead.>"}, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxBytes: o.MaxBytes, AllowDirect: true, AllowAtomicPublish: true,
	}); err != nil {
		return err
	}
	info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return err
	}
	for _, m := range o.Markets {
		s.markets[m] = &outlet{market: m, held: map[string]int{}, wake: make(chan struct{}, 1)}
	}
	for subject, n := range info.State.Subjects {
		l, err := subjects.Parse(subject)
		if err != nil {
			return err
		}
		m := s.markets[l.Market]
		if m == nil {
			s.log.Error().Str("market", l.Market).Uint64("events", n).Msg("the spool holds events of a market this edge does not serve: they wait for it")
			continue
		}
		m.held[l.Lead] += int(min(n, 1<<30))
		m.total += int(min(n, 1<<30))
		m.away = true
	}
	return s.register(o.Registry)
}

func (s *Spool) register(r prometheus.Registerer) error {
	gauge := func(name, help string, f func(jetstream.StreamState) float64) error {
		return r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "leadbus_edge_spool_" + name, Help: help}, func() float64 {
			return f(s.state())
		}))
	}
	return errors.Join(
		gauge("events", "Events accepted and not yet on the bus.", func(st jetstream.StreamState) float64 { return float64(st.Msgs) }),
		gauge("bytes", "Size of the events in the spool.", func(st jetstream.StreamState) float64 { return float64(st.Bytes) }),
		gauge("oldest_seconds", "Age of the oldest event in the spool.", func(st jetstream.StreamState) float64 {
			if st.Msgs == 0 {
				return 0
			}
			return time.Since(st.FirstTime).Seconds()
		}),
	)
}

func (s *Spool) state() jetstream.StreamState {
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	info, err := s.stream.Info(ctx)
	if err != nil {
		return jetstream.StreamState{}
	}
	return info.State
}

// Publish makes the event durable, on the bus or here. Its error means neither
// was possible: the spool is full or its disk fails. Within a lead events stay
// in order.
func (s *Spool) Publish(ctx context.Context, e event.Event) error {
	m := s.markets[e.Lead.Market]
	if m == nil {
		return event.Permanent(fmt.Errorf("publish %s: this edge does not serve market %s", e.Lead.Event, e.Lead.Market))
	}
	w, err := message(e, nats.Header{})
	if err != nil {
		return err
	}
	if s.direct(m, e.Lead.Lead) {
		bounded, cancel := context.WithTimeout(ctx, ackTimeout)
		_, err = s.to.commit(bounded, m.market, w)
		cancel()
		if err == nil {
			return nil
		}
	}
	if kept := s.keep(ctx, m, e.Lead.Lead, w, err); kept != nil {
		return fmt.Errorf("publish %s: %w", e.Lead.Event, errors.Join(err, kept))
	}
	return nil
}

// PublishOnce goes to the bus or fails: what is true for the first one only
// cannot wait in a spool.
func (s *Spool) PublishOnce(ctx context.Context, e event.Event) error {
	return s.to.PublishOnce(ctx, e)
}

func (s *Spool) direct(m *outlet, lead string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !m.away && !s.to.Connected() {
		m.away = true
	}
	return !m.away && m.held[lead] == 0
}

// keep puts the event into the spool; why is what the bus answered, if asked.
func (s *Spool) keep(ctx context.Context, m *outlet, lead string, w *write, why error) error {
	s.mu.Lock()
	if why != nil {
		m.away = true
	}
	first := m.total == 0
	m.held[lead]++
	m.total++
	s.mu.Unlock()
	if first {
		s.log.Warn().Err(why).Str("market", m.market).Msg("the bus does not answer: leads go to the spool")
	}
	_, err := s.c.commit(ctx, spoolStream, &write{subject: w.subject, header: nats.Header{eventID: w.header[jetstream.MsgIDHeader]}, data: w.data})
	if err != nil {
		s.mu.Lock()
		m.release(lead)
		s.mu.Unlock()
		return fmt.Errorf("spool: %w", err)
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return nil
}

func (m *outlet) release(lead string) {
	m.total--
	if m.held[lead]--; m.held[lead] <= 0 {
		delete(m.held, lead)
	}
}

// Run brings what the spool holds to the bus until ctx ends.
func (s *Spool) Run(ctx context.Context) error {
	var markets sync.WaitGroup
	for _, m := range s.markets {
		markets.Go(func() { s.drain(ctx, m) })
	}
	markets.Wait()
	return nil
}

func (s *Spool) drain(ctx context.Context, m *outlet) {
	var logged time.Time
	for {
		s.mu.Lock()
		total := m.total
		if total == 0 {
			m.away = false // the next event finds out
		}
		s.mu.Unlock()
		if total == 0 {
			if !logged.IsZero() {
				logged = time.Time{}
				s.log.Info().Str("market", m.market).Msg("the spool is empty again")
			}
			select {
			case <-m.wake:
			case <-time.After(drainWait):
			case <-ctx.Done():
				return
			}
			continue
		}
		moved, err := s.move(ctx, m)
		if ctx.Err() != nil {
			return
		}
		if time.Since(logged) > spoolAlarm {
			logged = time.Now()
			s.log.Warn().Err(err).Str("market", m.market).Int("events", total).Dur("oldest_ms", time.Since(s.state().FirstTime)).Msg("events wait in the spool")
		}
		if err != nil || moved == 0 {
			pause(ctx, drainWait)
		}
	}
}

// move brings the oldest events over and says how many went.
func (s *Spool) move(ctx context.Context, m *outlet) (int, error) {
	if !s.to.Connected() {
		return 0, errLost
	}
	filter := subjects.Market(m.market)
	var oldest []*jetstream.RawStreamMsg
	for next := uint64(1); len(oldest) < drainMost; {
		msg, err := s.stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(filter))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		} else if err != nil {
			return 0, err
		}
		oldest, next = append(oldest, msg), msg.Sequence+1
	}
	// In order into the lane, so in order onto the bus.
	bounded, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	var writes []*write
	for _, msg := range oldest {
		w := &write{subject: msg.Subject, data: msg.Data, header: nats.Header{jetstream.MsgIDHeader: msg.Header[eventID]}}
		s.to.hand(bounded, m.market, w)
		writes = append(writes, w)
	}
	moved := 0
	var failed error
	for _, w := range writes {
		if _, err := w.wait(); err != nil && failed == nil {
			failed = err
		}
		if failed == nil {
			moved++
		}
	}
	if moved == 0 {
		return 0, failed
	}
	// The bus drops by its id a message that comes over twice after a crash here.
	if err := s.stream.Purge(ctx, jetstream.WithPurgeSubject(filter), jetstream.WithPurgeSequence(oldest[moved-1].Sequence+1)); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m.away = failed != nil
	for _, msg := range oldest[:moved] {
		m.release(msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:])
	}
	return moved, failed
}

// Room reports whether the spool can take more.
func (s *Spool) Room() bool {
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	info, err := s.stream.Info(ctx)
	return err == nil && (info.Config.MaxBytes <= 0 || info.State.Bytes < uint64(info.Config.MaxBytes))
}

// Close leaves what it holds to the next start. Run must have ended.
func (s *Spool) Close() {
	if s.c != nil {
		s.c.Close()
	}
	s.server.Close()
}
