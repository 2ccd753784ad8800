// Command scanner looks at one market's finished calls and saves the leads nobody passed on.
package main

import (
	"os"

	"leadbus/internal/app"
	"leadbus/internal/subjects"
)

func main() {
	os.Exit(app.Alone(subjects.RoleNamed(subjects.Scanner), app.Scanner))
}
