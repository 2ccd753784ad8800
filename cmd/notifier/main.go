// Command notifier tells provider, customer and owner about one market's
// leads.
package main

import (
	"os"

	"leadbus/internal/app"
	"leadbus/internal/subjects"
)

func main() {
	os.Exit(app.Alone(subjects.RoleNamed(subjects.Notifier), app.Notifier))
}
