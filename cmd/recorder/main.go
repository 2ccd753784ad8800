// Command recorder writes one market's events to Postgres and copies the
// market's roster from there to the bus.
package main

import (
	"os"

	"leadbus/internal/app"
	"leadbus/internal/subjects"
)

func main() {
	os.Exit(app.Alone(subjects.RoleNamed(subjects.Recorder), app.Recorder))
}
