// Command scanner looks at one market's finished calls and saves the leads nobody passed on.
package main

import (
	"os"

	"leadbus/internal/app"
)

func main() {
	os.Exit(app.Alone("scanner", "Look at one market's finished calls, and save the leads nobody passed on.", app.Scanner))
}
