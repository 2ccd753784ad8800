package app

import (
	"context"
	"os"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"leadbus/internal/engine/process"
	"leadbus/internal/subjects"
)

// Alone is the whole of a role's command: it parses flags and environment into
// settings, runs start under a process, and answers the exit code.
func Alone[S interface{ Level() zerolog.Level }](role subjects.Role, start func(context.Context, *process.Process, S) error) int {
	var s S
	kong.Parse(&s, kong.Name(role.Name), kong.Description(role.Does), kong.UsageOnError(), kong.Vars{"log_level": "info"})
	logger := process.Logger(os.Stderr, s.Level()).With().Str("process", role.Name).Logger()
	if err := process.Main(process.New(logger), func(ctx context.Context, p *process.Process) error {
		return start(ctx, p, s)
	}); err != nil {
		logger.Error().Err(err).Msg("ended with an error")
		return 1
	}
	return 0
}
