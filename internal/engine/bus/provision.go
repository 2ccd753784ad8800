package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"leadbus/internal/subjects"
)

// Layout is how a market's streams are kept.
type Layout struct {
	Replicas int   // 1, or 3 on a cluster
	MaxBytes int64 // of LEADS; 0 means 2 GiB, about 50,000 leads
}

// Sizes of a market's streams. LEADS refuses new messages when full rather
// than dropping old ones: the edge then answers 503 and somebody notices. The
// ledger gets half as much: an entry is a small part of what was sent, and none
// is ever dropped, so that no replay is unprotected.
const (
	leadsBytes  = 2 << 30
	leadsAge    = 90 * 24 * time.Hour
	smallBytes  = 256 << 20
	bucketBytes = 64 << 20
	// dupeWindow is how long the stream drops repeats of a message id; beyond
	// it Postgres and the send ledger do.
	dupeWindow = time.Hour
)

const (
	ackWait = 30 * time.Second
	// maxAckPending is far above what is at work: messages to a vendor that is
	// away wait there for their turn, and must not hold up those to others.
	maxAckPending = 200_000
	// stepTime bounds one step of provisioning.
	stepTime = 5 * time.Second
)

// Provision makes a market's streams, buckets and durables, or brings them to
// this layout. Services only look them up: two versions of a service would
// otherwise fight over the configuration. It is safe to repeat and to run
// beside itself, and waits until ctx ends for a cluster that has no leader yet.
func Provision(ctx context.Context, operator *Conn, market string, o Layout) error {
	js := operator.js
	replicas := max(o.Replicas, 1)
	maxBytes := o.MaxBytes
	if maxBytes == 0 {
		maxBytes = leadsBytes
	}
	leads := jetstream.StreamConfig{
		Name: subjects.StreamLeads, Subjects: []string{subjects.Market(market)},
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxBytes: maxBytes, MaxAge: leadsAge, Duplicates: dupeWindow, Replicas: replicas,
		AllowDirect: true, AllowAtomicPublish: true,
	}
	dlq := jetstream.StreamConfig{
		Name: subjects.StreamDLQ, Storage: jetstream.FileStorage, Replicas: replicas, MaxBytes: smallBytes, MaxAge: leadsAge,
		Subjects: []string{subjects.DeadLetters(market)}, AllowDirect: true,
	}
	timers := jetstream.StreamConfig{
		Name: subjects.StreamTimers, Subjects: []string{subjects.Timers(market)}, Storage: jetstream.FileStorage,
		Discard: jetstream.DiscardOld, MaxBytes: smallBytes, Replicas: replicas, AllowMsgTTL: true, AllowMsgSchedules: true,
	}
	streams := []jetstream.StreamConfig{leads, dlq, timers}
	for bucket, size := range map[string]int64{
		subjects.BucketRoster: bucketBytes, subjects.BucketLoad: bucketBytes, subjects.BucketLedger: maxBytes / 2, subjects.BucketWatch: bucketBytes, subjects.BucketPeople: bucketBytes,
	} {
		// As the library makes a bucket, and open to atomic batches.
		streams = append(streams, jetstream.StreamConfig{
			Name: bucketStream(bucket), Subjects: []string{"$KV." + bucket + ".>"}, Storage: jetstream.FileStorage,
			MaxMsgsPerSubject: 1, MaxBytes: size, Discard: jetstream.DiscardNew, Duplicates: 2 * time.Minute, Replicas: replicas,
			AllowRollup: true, DenyDelete: true, AllowDirect: true, AllowAtomicPublish: true,
			AllowMsgTTL: bucket == subjects.BucketWatch || bucket == subjects.BucketPeople,
		})
	}
	for _, c := range streams {
		if err := operator.settled(ctx, func(ctx context.Context) error {
			_, err := js.CreateOrUpdateStream(ctx, c)
			return err
		}); err != nil {
			return fmt.Errorf("stream %s: %w", c.Name, err)
		}
	}
	for _, role := range subjects.Roles {
		// Handlers decide when to give up (event.Outcome), and leave a dead
		// letter; the server alone would drop an event without a trace.
		c := jetstream.ConsumerConfig{
			Durable: role.Name, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
			AckWait: ackWait, MaxDeliver: -1, MaxAckPending: maxAckPending, Replicas: replicas,
		}
		if role.DeadLetters {
			if err := operator.durable(ctx, subjects.StreamDLQ, c); err != nil {
				return err
			}
		}
		if role.Timers {
			due := c
			due.FilterSubject = subjects.DueTimers(market)
			if err := operator.durable(ctx, subjects.StreamTimers, due); err != nil {
				return err
			}
		}
		for _, kind := range role.Consumes {
			c.FilterSubjects = append(c.FilterSubjects, subjects.Filter(subjects.Lead{Market: market, Event: kind}))
		}
		if err := operator.durable(ctx, subjects.StreamLeads, c); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) durable(ctx context.Context, stream string, config jetstream.ConsumerConfig) error {
	err := c.settled(ctx, func(ctx context.Context) error {
		_, err := c.js.CreateOrUpdateConsumer(ctx, stream, config)
		return err
	})
	if err != nil {
		return fmt.Errorf("durable %s of %s: %w", config.Durable, stream, err)
	}
	return nil
}

// settled repeats a step while the cluster elects; everything else that goes
// wrong is the step's result.
func (c *Conn) settled(ctx context.Context, step func(context.Context) error) error {
	return c.retry(ctx, "waiting for JetStream to take its configuration", stepTime, func(err error) bool {
		var api *jetstream.APIError
		if errors.As(err, &api) {
			return api.ErrorCode == clusterNotAvailable
		}
		return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrReconnectBufExceeded)
	}, step)
}

// bucketStream is the stream behind a bucket.
func bucketStream(bucket string) string { return "KV_" + bucket }
