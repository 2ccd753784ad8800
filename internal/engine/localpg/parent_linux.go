package localpg

import "syscall"

// endWithParent asks the system to stop the server when our thread ends.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGINT }
