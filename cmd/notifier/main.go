// Command notifier tells provider, customer and owner about one market's
// leads.
package main

import (
	"os"

	"leadbus/internal/app"
)

func main() {
	os.Exit(app.Alone("notifier", "Tell provider, customer and owner about one market's leads.", app.Notifier))
}
