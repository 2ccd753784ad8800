package recorder

import (
	"testing"

	"go.uber.org/goleak"
)

// The Postgres that the tests share runs on until the process ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("leadbus/internal/engine/localpg.(*Cluster).launch.func1"), goleak.IgnoreAnyFunction("leadbus/internal/engine/localpg.(*Cluster).keep"),
		goleak.IgnoreTopFunction("os/exec.(*Cmd).watchCtx"))
}
