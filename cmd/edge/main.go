// Command edge takes the webhooks of every market and publishes them as lead
// events. It answers success only after the event is durable.
package main

import (
	"os"

	"leadbus/internal/app"
	"leadbus/internal/subjects"
)

func main() {
	os.Exit(app.Alone(subjects.EdgeRole, app.Edge))
}
