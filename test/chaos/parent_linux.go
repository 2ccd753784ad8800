package main

import "syscall"

// endWithParent asks the system to kill a child when the thread that started
// it ends.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
