// Command matcher decides who gets one market's leads.
package main

import (
	"os"

	"leadbus/internal/app"
)

func main() {
	os.Exit(app.Alone("matcher", "Decide who gets one market's leads.", app.Matcher))
}
