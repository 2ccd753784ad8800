// Command edge takes the webhooks of every market and publishes them as lead
// events. It answers success only after the event is durable.
package main

import (
	"os"

	"leadbus/internal/app"
)

func main() {
	os.Exit(app.Alone("edge", "Take webhooks of every market and publish them as lead events.", app.Edge))
}
