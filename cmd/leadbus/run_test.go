package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestErrorsOfTheDiskComeWithAdvice(t *testing.T) {
	for err, want := range map[error]string{
		fmt.Errorf("spool: %w", &os.PathError{Op: "write", Path: "/data/spool", Err: syscall.ENOSPC}): "free some space",
		errors.New(`initdb: could not write to file "pg_wal": No space left on device`):               "free some space",
		&os.PathError{Op: "open", Path: "/data/lock", Err: syscall.EACCES}:                            "the user whom the data belongs to",
		&os.PathError{Op: "open", Path: "/data/lock", Err: syscall.EROFS}:                             "another LEADBUS_DATA",
		&os.PathError{Op: "open", Path: "/data/secrets/x", Err: syscall.EISDIR}:                       "move that directory away",
		&os.PathError{Op: "mkdir", Path: "/data/nats", Err: syscall.ENOTDIR}:                          "move that file away",
		errors.New("edge: a port is taken"):                                                           "edge: a port is taken",
	} {
		if got := advised(err); !strings.Contains(got.Error(), want) || !strings.Contains(got.Error(), err.Error()) || !errors.Is(got, err) {
			t.Errorf("%v", got)
		}
	}
	if err := advised(nil); err != nil {
		t.Error(err)
	}
}
