// Command leadbus runs the whole system on one machine and holds the
// operator's commands.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/scenario"
)

type cli struct {
	Run        runCmd        `cmd:"" help:"Run every role of every market on this machine, with sandbox vendors unless there are credentials."`
	Call       callCmd       `cmd:"" help:"Play phone calls against the running edge and follow the leads until all are told."`
	Trace      traceCmd      `cmd:"" help:"Show everything that happened to one lead."`
	Lead       leadCmd       `cmd:"" help:"Decide on a lead: give it to another provider, cancel it, say what became of it, reopen it."`
	Config     configCmd     `cmd:"" help:"Look at the configuration."`
	NATSConfig natsConfigCmd `cmd:"" name:"nats-config" help:"Print the NATS accounts, users and permissions of every market."`
	Provision  provisionCmd  `cmd:"" help:"Make streams, durables and buckets on the broker and tables in the database; once per deploy, safe to repeat."`
	Ready      readyCmd      `cmd:"" help:"Ask a process whether it can do its work; for health checks."`
	DLQ        dlqCmd        `cmd:"" name:"dlq" help:"List, retry or drop dead letters: events that a role gave up."`
	Replay     replayCmd     `cmd:"" help:"Say what a replay of stored events would do."`
	Resend     resendCmd     `cmd:"" help:"Tell somebody once more; the one way to send something twice."`
	Reconcile  reconcileCmd  `cmd:"" help:"Compare the vendors' records of calls and messages with ours, and fetch what was lost."`
	Sandbox    sandboxCmd    `cmd:"" help:"Run the sandbox vendors alone, beside roles that run as processes of their own."`
	Roster     rosterCmd     `cmd:"" help:"Look at or fill the providers."`
}

func main() {
	var c cli
	k := kong.Parse(&c,
		kong.Name("leadbus"),
		kong.Description("Leads from voice agents to the provider who can take them. 'leadbus run' starts everything; 'leadbus call' tries it."),
		kong.UsageOnError(),
		kong.Vars{"log_level": "warn", "scenarios": strings.Join(slices.Concat(scenario.Names(), scenario.RingNames()), ","), "channels": strings.Join(lead.Channels, ","), "orders": strings.Join(event.Orders, ",")},
	)
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "leadbus:", err)
		cancel()
		os.Exit(1)
	}
}
