// Package app joins the roles to their adapters: it is the one place that sees
// both. Each command in cmd/ is flags, one call into this package, and the
// process around it.
package app

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/site"
)

// Settings are the flags and environment variables every command shares; the
// tags are kong's.
type Settings struct {
	Config string `help:"Configuration directory." env:"LEADBUS_CONFIG" default:"./config" placeholder:"DIR"`
	Data   string `help:"Data directory: streams, database, keys and secrets of this machine." env:"LEADBUS_DATA" default:"./.leadbus" placeholder:"DIR"`

	NATSURL     string `name:"nats-url" help:"NATS server; empty means the one of 'leadbus run'." env:"LEADBUS_NATS_URL" placeholder:"URL"`
	NATSKeys    string `name:"nats-keys" help:"Directory of the NATS users' seed files; default DATA/nats." env:"LEADBUS_NATS_KEYS" placeholder:"DIR"`
	DatabaseURL string `name:"database-url" help:"Postgres; empty means the private cluster of 'leadbus run'." env:"LEADBUS_DATABASE_URL" placeholder:"URL"`

	SiteSecrets string `help:"Directory with one file per site domain holding the secret of its tool calls; default DATA/secrets/sites." env:"LEADBUS_SITE_SECRETS" placeholder:"DIR"`

	TrackerSecrets string `help:"Directory with one file per tracker secret, by the name in trackers.yaml; default DATA/secrets/trackers." env:"LEADBUS_TRACKER_SECRETS" placeholder:"DIR"`

	LogLevel string `help:"debug, info, warn or error." env:"LEADBUS_LOG_LEVEL" default:"${log_level}" enum:"debug,info,warn,error"`
}

// VendorSettings reach the vendors. Without credentials the all-in-one starts
// its sandbox; a role on its own refuses to start.
type VendorSettings struct {
	PublicURL         string `help:"Base URL under which vendors reach the edge; signatures are checked against it." env:"LEADBUS_PUBLIC_URL" placeholder:"URL"`
	TwilioAccountSID  string `name:"twilio-account-sid" help:"Twilio account SID." env:"LEADBUS_TWILIO_ACCOUNT_SID" placeholder:"AC…"`
	TwilioAuthToken   Secret `help:"Twilio auth token." env:"LEADBUS_TWILIO_AUTH_TOKEN" placeholder:"TOKEN"`
	TwilioAPIKey      string `name:"twilio-api-key" help:"Twilio API key SID; with its secret it is used instead of the auth token for calls, and can be revoked alone." env:"LEADBUS_TWILIO_API_KEY" placeholder:"SK…"`
	TwilioAPISecret   Secret `name:"twilio-api-secret" help:"Secret of the Twilio API key." env:"LEADBUS_TWILIO_API_SECRET" placeholder:"SECRET"`
	TwilioURL         string `name:"twilio-url" help:"Twilio API base." env:"LEADBUS_TWILIO_URL" default:"https://api.twilio.com" placeholder:"URL"`
	MailgunAPIKey     Secret `name:"mailgun-api-key" help:"Mailgun API key that may send and read events; a domain sending key may not read them." env:"LEADBUS_MAILGUN_API_KEY" placeholder:"KEY"`
	MailgunSigningKey Secret `help:"Mailgun webhook signing key." env:"LEADBUS_MAILGUN_SIGNING_KEY" placeholder:"KEY"`
	OwnerEmail        string `help:"Send owner copies and alarms of every site to this address instead of the site's own." env:"LEADBUS_OWNER_EMAIL" placeholder:"ADDRESS"`
	LinkSecret        Secret `help:"Secret of the links by which owners answer, the same for the edge and every notifier: 32 random characters or more." env:"LEADBUS_LINK_SECRET" placeholder:"SECRET"`
	TrackerURL        string `name:"tracker-url" help:"Where all postbacks go instead of their trackers' hosts, for tests." env:"LEADBUS_TRACKER_URL" placeholder:"URL"`
	MailgunURL        string `name:"mailgun-url" help:"Mailgun API base with its version; EU: https://api.eu.mailgun.net/v3." env:"LEADBUS_MAILGUN_URL" default:"https://api.mailgun.net/v3" placeholder:"URL"`

	ElevenLabsAPIKey        Secret        `name:"elevenlabs-api-key" help:"ElevenLabs API key; without it calls whose report was lost are not looked for." env:"LEADBUS_ELEVENLABS_API_KEY" placeholder:"KEY"`
	ElevenLabsWebhookSecret Secret        `name:"elevenlabs-webhook-secret" help:"Secret of ElevenLabs' post-call webhook; without it every report on a call is refused." env:"LEADBUS_ELEVENLABS_WEBHOOK_SECRET" placeholder:"SECRET"`
	ElevenLabsURL           string        `name:"elevenlabs-url" help:"ElevenLabs API base." env:"LEADBUS_ELEVENLABS_URL" default:"https://api.elevenlabs.io" placeholder:"URL"`
	ElevenLabsTolerance     time.Duration `name:"elevenlabs-tolerance" help:"How old a post-call webhook's signature may be; ElevenLabs repeats one for about 40 minutes; default: 60m." env:"LEADBUS_ELEVENLABS_TOLERANCE" placeholder:"DURATION"`
}

// sandboxSecrets are the credentials between the sandbox and its callers, each
// in a file of its own.
func (s Settings) sandboxSecrets(v *VendorSettings, from func(path string) (string, error)) error {
	for _, f := range []struct {
		name, prefix string
		to           *string
	}{
		{"twilio-account-sid", "AC", &v.TwilioAccountSID},
		{"twilio-auth-token", "", (*string)(&v.TwilioAuthToken)},
		{"mailgun-api-key", "key", (*string)(&v.MailgunAPIKey)},
		{"mailgun-signing-key", "", (*string)(&v.MailgunSigningKey)},
		{"elevenlabs-api-key", "xi", (*string)(&v.ElevenLabsAPIKey)},
		{"elevenlabs-webhook-secret", "wsec", (*string)(&v.ElevenLabsWebhookSecret)},
	} {
		x, err := from(filepath.Join(s.Data, "secrets", f.name))
		if err != nil {
			return err
		}
		*f.to = f.prefix + x
	}
	return nil
}

// SpoolSettings bound what an edge keeps while the bus is away.
type SpoolSettings struct {
	SpoolBytes int64 `name:"spool-bytes" help:"Most bytes of leads kept in DATA/spool while the bus does not answer; then the edge answers 503." env:"LEADBUS_SPOOL_BYTES" default:"268435456" placeholder:"N"`
}

// HostSettings say what machine this is. With real vendors, and for a role on
// its own, it must be one that does not sleep.
type HostSettings struct {
	Host         string `help:"Name or region of this machine, which says that it does not sleep; needed in production." env:"LEADBUS_HOST" placeholder:"NAME"`
	HostOverride string `help:"Why to start on a machine that is not declared or has a battery all the same." env:"LEADBUS_HOST_OVERRIDE" placeholder:"REASON"`
}

// WatchSettings are those of the scanners' periodic work. The heartbeat reaches
// a service outside our hosting that notices silence.
type WatchSettings struct {
	HeartbeatURL   Secret        `name:"heartbeat-url" help:"Pinged after each canary of a market that arrived in time, with /start before and /fail otherwise, as healthchecks.io wants it; {market} in it is replaced." env:"LEADBUS_HEARTBEAT_URL" placeholder:"URL"`
	CanaryEvery    time.Duration `help:"How often a scanner sends its market's test lead; 0 sends none." env:"LEADBUS_CANARY_EVERY" default:"5m" placeholder:"DURATION"`
	ReconcileEvery time.Duration `help:"How often a scanner compares the vendors' records with ours; default: 5m." env:"LEADBUS_RECONCILE_EVERY" placeholder:"DURATION"`
	AgentsEvery    time.Duration `help:"How often a scanner looks whether its agents were changed at the voice vendor; default: 1h." env:"LEADBUS_AGENTS_EVERY" placeholder:"DURATION"`
}

// Secret is a value that never prints itself.
type Secret string

func (s Secret) String() string { return "[secret]" }

// GoString keeps %#v silent as well.
func (s Secret) GoString() string { return s.String() }

// complete reports whether every vendor has credentials; some but not all is
// an error, so that a typing mistake never sends half of the messages nowhere.
func (v VendorSettings) complete() (bool, error) {
	var missing []string
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"LEADBUS_TWILIO_ACCOUNT_SID", v.TwilioAccountSID != ""},
		{"LEADBUS_TWILIO_AUTH_TOKEN", v.TwilioAuthToken != ""},
		{"LEADBUS_MAILGUN_API_KEY", v.MailgunAPIKey != ""},
		{"LEADBUS_MAILGUN_SIGNING_KEY", v.MailgunSigningKey != ""},
	} {
		if !f.set {
			missing = append(missing, f.name)
		}
	}
	if (v.TwilioAPIKey == "") != (v.TwilioAPISecret == "") {
		return false, errors.New("set both LEADBUS_TWILIO_API_KEY and LEADBUS_TWILIO_API_SECRET, or neither")
	}
	switch len(missing) {
	case 0:
		return true, nil
	case 4:
		return false, nil
	default:
		return false, fmt.Errorf("vendor credentials are incomplete: set %s too, or none of them for the sandbox", strings.Join(missing, ", "))
	}
}

// production refuses what a role that tells real people must not start with.
func (v VendorSettings) production() error {
	if ok, err := v.complete(); err != nil {
		return err
	} else if !ok {
		return errors.New("no vendor credentials: a role on its own talks to real vendors; set LEADBUS_TWILIO_… and LEADBUS_MAILGUN_…, or use 'leadbus run' for the sandbox")
	}
	u, err := url.Parse(v.PublicURL)
	if err != nil || u.Host == "" {
		return errors.New("LEADBUS_PUBLIC_URL is not set to the edge's public address: vendors' receipts could not find it")
	}
	return nil
}

// links refuses a role that makes or reads owners' links with a secret that
// others could guess.
func (v VendorSettings) links() error {
	if len(v.LinkSecret) < 32 {
		return errors.New("LEADBUS_LINK_SECRET is not set, or shorter than 32 characters: owners could not answer alarms; set the same random text for the edge and every notifier")
	}
	return nil
}

// Level is the log level.
func (s Settings) Level() zerolog.Level {
	l, err := zerolog.ParseLevel(s.LogLevel)
	if err != nil {
		return zerolog.InfoLevel // kong has checked it
	}
	return l
}

func (s Settings) keys() string {
	return cmp.Or(s.NATSKeys, filepath.Join(s.Data, "nats"))
}

func (s Settings) natsURL() string {
	running, _ := Running(s.Data) // the address is empty when nothing runs
	return cmp.Or(s.NATSURL, running.NATSURL, "nats://127.0.0.1:4222")
}

func (s Settings) databaseURL() (string, error) {
	if s.DatabaseURL != "" {
		return s.DatabaseURL, nil
	}
	r, err := Running(s.Data)
	if err != nil {
		return "", fmt.Errorf("no database: set LEADBUS_DATABASE_URL or start 'leadbus run' (%w)", err)
	}
	return r.DatabaseURL, nil
}

// siteSecretFile holds the secret of a site's tool calls.
func (s Settings) siteSecretFile(domain string) string {
	return filepath.Join(cmp.Or(s.SiteSecrets, filepath.Join(s.Data, "secrets", "sites")), domain)
}

// SiteSecret reads the secret of a site's tool calls; empty when there is none.
func (s Settings) SiteSecret(domain string) string {
	secret, _ := readSecret(s.siteSecretFile(domain))
	return secret
}

// trackerSecretFile holds a secret that trackers.yaml names.
func (s Settings) trackerSecretFile(name string) string {
	return filepath.Join(cmp.Or(s.TrackerSecrets, filepath.Join(s.Data, "secrets", "trackers")), name)
}

// trackerSecret reads it each time: a correction needs no new start.
func (s Settings) trackerSecret(name string) (string, error) {
	return readSecret(s.trackerSecretFile(name))
}

// siteSecrets reads all of them once.
func (s Settings) siteSecrets(c *site.Catalog) func(string) string {
	secrets := map[string]string{}
	for domain := range c.Sites {
		secrets[domain] = s.SiteSecret(domain)
	}
	return func(domain string) string { return secrets[domain] }
}

func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}

// newSecret is ensureSecret with as many bytes as a vendor's credentials have.
func newSecret(path string) (string, error) { return ensureSecret(path, 16) }

// ensureSecret makes a random secret file where there is none and reads it.
// Hexadecimal satisfies every vendor's rules for credentials.
func ensureSecret(path string, bytes int) (string, error) {
	if secret, err := readSecret(path); err == nil && secret != "" {
		return secret, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	raw := make([]byte, bytes)
	_, _ = rand.Read(raw) // never fails
	secret := hex.EncodeToString(raw)
	return secret, os.WriteFile(path, []byte(secret+"\n"), 0o600)
}

// load reads the configuration and narrows it to the markets asked for.
func load(dir string, markets []string) (*site.Catalog, error) {
	c, err := site.Load(dir)
	if err != nil {
		return nil, err
	}
	if len(markets) == 0 {
		return c, nil
	}
	for _, m := range markets {
		if c.Markets[m] == nil {
			return nil, fmt.Errorf("no market %q in %s/markets", m, dir)
		}
	}
	maps.DeleteFunc(c.Markets, func(id string, _ *site.Market) bool { return !slices.Contains(markets, id) })
	maps.DeleteFunc(c.Sites, func(_ string, s *site.Site) bool { return c.Markets[s.Market] == nil })
	return c, nil
}
