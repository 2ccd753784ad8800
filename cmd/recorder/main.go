// Command recorder writes one market's events to Postgres and copies the
// market's roster from there to the bus.
package main

import (
	"os"

	"leadbus/internal/app"
)

func main() {
	os.Exit(app.Alone("recorder", "Write one market's events to Postgres.", app.Recorder))
}
