package bus

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

// ServerOptions describe an embedded server.
type ServerOptions struct {
	Addr     string // host:port of the listener; port 0 picks a free one; empty: only this process connects
	StoreDir string // one server at a time: the caller holds a lock on it
	Config   string // ConfigText; empty: no accounts, no users
	// SyncAlways puts every acknowledged message on the disk before its ack;
	// otherwise it is in the kernel's hands, safe from a killed process but
	// not from a power cut.
	SyncAlways bool
	Log        zerolog.Logger
}

// Server is an embedded NATS server.
type Server struct{ s *server.Server }

// StartServer starts a server and waits until it takes connections.
func StartServer(o ServerOptions) (*Server, error) {
	opts := &server.Options{}
	if o.Config != "" {
		if err := opts.ProcessConfigString(o.Config); err != nil {
			return nil, fmt.Errorf("nats: configuration: %w", err)
		}
	}
	opts.ServerName, opts.DontListen = "leadbus", o.Addr == ""
	if err := listenOn(opts, o.Addr); err != nil {
		return nil, err
	}
	opts.JetStream, opts.StoreDir, opts.SyncAlways = true, o.StoreDir, o.SyncAlways
	// Unset limits would take three quarters of memory and disk. Sizes of
	// streams are reserved against the second: a terabyte is 250 markets.
	opts.JetStreamMaxMemory, opts.JetStreamMaxStore = 64<<20, 1<<40
	opts.NoSigs, opts.NoLog = true, false // signals belong to the process
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	fatal := make(chan string, 1)
	s.SetLoggerV2(serverLog{o.Log, fatal}, false, false, false)
	s.Start()
	for deadline := time.Now().Add(startTime); ; {
		ready, reason := s.ReadyForConnections(50*time.Millisecond), ""
		select {
		case reason = <-fatal:
		default:
			if !ready && time.Now().After(deadline) {
				reason = fmt.Sprintf("not up on %s within %s", o.Addr, startTime)
			}
		}
		if reason != "" {
			s.Shutdown()
			s.WaitForShutdown()
			return nil, fmt.Errorf("nats: %s; its store %s must be this user's own and whole: restore it from a backup, or move it away to start with empty streams", strings.TrimSpace(reason), o.StoreDir)
		}
		if ready {
			return &Server{s}, nil
		}
	}
}

func listenOn(opts *server.Options, addr string) error {
	if addr == "" {
		return nil
	}
	l, err := net.Listen("tcp", addr) //nolint:noctx // closed at once: it says what is wrong with the address
	if err != nil {
		return fmt.Errorf("nats: listen on address %s: %w; choose another LEADBUS_NATS_ADDR (port 0 picks a free one)", addr, err)
	}
	_ = l.Close()
	host, port, err := net.SplitHostPort(addr)
	if opts.Host, opts.Port = host, l.Addr().(*net.TCPAddr).Port; port == "0" {
		opts.Port = server.RANDOM_PORT // that one may be taken by now
	}
	return err
}

// startTime is enough to recover a full store.
const startTime = time.Minute

// URL is where clients, the nats CLI among them, connect.
func (s *Server) URL() string { return "nats://" + s.s.Addr().String() }

// Close stops the server and waits until its files are closed.
func (s *Server) Close() {
	s.s.Shutdown()
	s.s.WaitForShutdown()
}

// serverLog hands the server's lines on. Its notices are start-up chatter, its
// fatal errors come back as errors of StartServer.
type serverLog struct {
	log   zerolog.Logger
	fatal chan<- string
}

func (l serverLog) Noticef(f string, v ...any) { l.log.Debug().Msgf(f, v...) }
func (l serverLog) Errorf(f string, v ...any)  { l.log.Error().Msgf(f, v...) }

// A stream with a damaged file is left out by the server; it would be made anew
// and empty in its place.
func (l serverLog) Warnf(f string, v ...any) {
	damaged := strings.Contains(f, "tream metafile") || strings.Contains(f, "reading metafile")
	if damaged && !strings.Contains(f, "Missing") {
		l.Fatalf(f, v...)
		return
	}
	l.log.Warn().Msgf(f, v...)
}

func (l serverLog) Fatalf(f string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(f, v...):
	default:
		l.log.Error().Msgf(f, v...)
	}
}
func (l serverLog) Debugf(f string, v ...any) { l.log.Debug().Msgf(f, v...) }
func (l serverLog) Tracef(f string, v ...any) { l.log.Trace().Msgf(f, v...) }
