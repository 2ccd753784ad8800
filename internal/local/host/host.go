// Package host knows the machine a process runs on: whether leads may be
// entrusted to it, and whether it slept.
package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Facts are what is known of a machine.
type Facts struct {
	Name    string // its host name
	Boot    string // differs after each start of it; empty when it cannot be told
	Battery bool   // it has one of its own
}

// Declaration is what an operator says of a machine.
type Declaration struct {
	Host     string // its name or region: it does not sleep
	Override string // why roles may run on it all the same
}

// Read finds the facts of this machine. A fact that cannot be found out counts as
// absent.
func Read(ctx context.Context) Facts {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	f := Facts{}
	f.Name, _ = os.Hostname()
	switch runtime.GOOS {
	case "linux":
		boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
		f.Boot = strings.TrimSpace(string(boot))
		f.Battery = battery(os.DirFS("/sys/class/power_supply"))
	case "darwin":
		boot, _ := exec.CommandContext(ctx, "sysctl", "-n", "kern.bootsessionuuid").Output()
		f.Boot = strings.TrimSpace(string(boot))
		power, _ := exec.CommandContext(ctx, "pmset", "-g", "batt").Output()
		f.Battery = internalBattery(string(power))
	}
	return f
}

// battery reads Linux's list of power supplies. Batteries of mice and the like
// have the scope Device; a bay may be empty.
func battery(supplies fs.FS) bool {
	entries, _ := fs.ReadDir(supplies, ".")
	for _, e := range entries {
		says := func(attribute string) string {
			b, _ := fs.ReadFile(supplies, e.Name()+"/"+attribute)
			return strings.TrimSpace(string(b))
		}
		if says("type") == "Battery" && says("scope") != "Device" && says("present") != "0" {
			return true
		}
	}
	return false
}

// internalBattery reads what macOS' pmset says; it names a UPS as well.
func internalBattery(pmset string) bool { return strings.Contains(pmset, "-InternalBattery") }

// Check refuses a machine that is not for production. An operator may override
// it; overridden is then what was passed over.
func (f Facts) Check(d Declaration) (overridden, err error) {
	var why []string
	if f.Battery {
		why = append(why, "it runs on a battery, and a machine that sleeps loses calls")
	}
	if d.Host == "" {
		why = append(why, "it is not declared as one that does not sleep: set LEADBUS_HOST to its name or region, such as geneva-1")
	}
	if len(why) == 0 {
		return nil, nil
	}
	unfit := errors.New("this machine is not for production: " + strings.Join(why, "; "))
	if d.Override != "" {
		return unfit, nil
	}
	return nil, fmt.Errorf("%w (LEADBUS_HOST_OVERRIDE=<reason> starts all the same, and says so)", unfit)
}
