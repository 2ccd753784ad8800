// Command matcher decides who gets one market's leads.
package main

import (
	"os"

	"leadbus/internal/app"
	"leadbus/internal/subjects"
)

func main() {
	os.Exit(app.Alone(subjects.RoleNamed(subjects.Matcher), app.Matcher))
}
