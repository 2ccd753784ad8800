package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"leadbus/internal/app"
	"leadbus/internal/engine/process"
)

type runCmd struct{ app.RunSettings }

func (c *runCmd) Run() error {
	log := process.Logger(os.Stderr, c.Level())
	return advised(process.Main(process.New(log), func(ctx context.Context, p *process.Process) error {
		st, err := app.Run(ctx, p, c.RunSettings)
		if err != nil {
			return err
		}
		screen(os.Stdout, st, c.RunSettings)
		return nil
	}))
}

// advised says what to do about errors of the disk, which any part can have.
func advised(err error) error {
	for cause, advice := range map[string]string{
		"o space left on device": "free some space on that disk, or choose another LEADBUS_DATA",
		"ermission denied":       "start as the user whom the data belongs to, or choose another LEADBUS_DATA",
		"read-only file system":  "choose another LEADBUS_DATA",
		"s a directory":          "move that directory away: a file belongs there",
		"ot a directory":         "move that file away: a directory belongs there",
	} {
		if err != nil && strings.Contains(err.Error(), cause) {
			return fmt.Errorf("%w\n%s", err, advice)
		}
	}
	return err
}

// screen says where everything is and what to try.
func screen(w io.Writer, st *app.Started, s app.RunSettings) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { _, _ = fmt.Fprintln(out, "  "+strings.Join(cells, "\t")) }
	title := func(t string) {
		_ = out.Flush()
		_, _ = fmt.Fprintf(w, "\n%s\n", t)
	}

	title("leadbus is up.  Ctrl-C stops it; the next start goes on where this one stopped.")
	line("edge", st.EdgeURL, "POST /v1/sites/<domain>/dispatch_lead")
	if st.SandboxURL != "" {
		line("sandbox", st.SandboxURL, "every text and mail, live")
	}
	line("private", st.PrivateURL, "/healthz /readyz /metrics /debug/pprof/")
	line("nats", st.NATSURL, "docs/operations.md has the nats contexts")
	line("postgres", "psql '"+masked(st.DatabaseURL)+"'")
	line("data", s.Data)

	title("markets and sites")
	for _, id := range slices.Sorted(maps.Keys(st.Catalog.Markets)) {
		m := st.Catalog.Markets[id]
		name := fmt.Sprintf("%s  %s (%s)", id, m.Name, m.Zone)
		for _, domain := range slices.Sorted(maps.Keys(st.Catalog.Sites)) {
			site := st.Catalog.Sites[domain]
			if site.Market != id {
				continue
			}
			line(name, domain, site.DID, strings.Join(site.Languages, ","))
			name = ""
		}
	}

	if st.SandboxURL != "" {
		title("sandbox: nothing leaves this machine")
	} else {
		title("REAL VENDORS: texts and mails reach real people")
	}
	for _, n := range st.Notes {
		line(n)
	}
	for _, r := range st.Without {
		line("left out: " + r)
	}
	if st.SandboxURL != "" {
		line("try: go run ./cmd/leadbus call --site " + exampleSite(st))
	}
	_ = out.Flush()
	_, _ = fmt.Fprintln(w)
}

func exampleSite(st *app.Started) string {
	const first = "plombiersgeneve.ch"
	domains := slices.Sorted(maps.Keys(st.Catalog.Sites))
	if len(domains) == 0 || st.Catalog.Sites[first] != nil {
		return first
	}
	return domains[0]
}
